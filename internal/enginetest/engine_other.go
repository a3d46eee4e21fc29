//go:build !linux

package enginetest

import "testing"

// Docker works on Linux only.
func Docker(t testing.TB) []string { return none(t) }

// Containerd works on Linux only.
func Containerd(t testing.TB) []string { return none(t) }

// Podman works on Linux only.
func Podman(t testing.TB) []string { return none(t) }

func none(t testing.TB) []string {
	t.Helper()
	t.Fatal("container engines are started on Linux only")
	return nil
}
