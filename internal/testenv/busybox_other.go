//go:build !linux

package testenv

// BusyboxVar names a static busybox.
const BusyboxVar = "SANDBOX_TEST_BUSYBOX"

// Busybox is the path of a static busybox; on Linux only.
func Busybox() (string, error) { return "", errLinux }
