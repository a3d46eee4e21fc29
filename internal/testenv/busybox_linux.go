package testenv

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// BusyboxVar names a static busybox that is used if the host has none: tests that become other users
// fetch it once and hand it on.
const BusyboxVar = "SANDBOX_TEST_BUSYBOX"

// Busybox is the path of a static busybox, for images that are tiny and still have a shell: the
// host's, or Debian's package busybox-static through the host's apt.
var Busybox = sync.OnceValues(func() (string, error) {
	for _, p := range []string{os.Getenv(BusyboxVar), "/bin/busybox", "/usr/bin/busybox"} {
		if p != "" && static(p) {
			return p, nil
		}
	}
	dir, err := os.MkdirTemp("", "busybox")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	get := exec.Command("sh", "-ec", "apt-get -qq download busybox-static; dpkg-deb -x busybox-static_*.deb .")
	get.Dir = dir
	if err := output(get); err != nil {
		return "", fmt.Errorf("no static busybox here, and none from apt: %w", err)
	}
	for _, p := range []string{"bin/busybox", "usr/bin/busybox"} {
		if p = filepath.Join(dir, p); static(p) {
			// One file, of a fixed name: it is there for the next test as well.
			kept := filepath.Join(os.TempDir(), fmt.Sprintf("sandbox-test-busybox-%d", os.Getuid()))
			if err := exec.Command("install", "-m", "755", p, kept).Run(); err != nil {
				return "", err
			}
			return kept, nil
		}
	}
	return "", errors.New("the package busybox-static has no static busybox")
})

func probeBusybox() error {
	_, err := Busybox()
	return err
}

// static reports whether p is a program that needs no loader.
func static(p string) bool {
	f, err := elf.Open(p)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, prog := range f.Progs {
		if prog.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}
