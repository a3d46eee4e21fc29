package wheel

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func linked(t *testing.T, mode LinkMode, python string, wheels ...Wheel) string {
	t.Helper()
	prefix := t.TempDir()
	if err := Link(wheels, prefix, python, LinkOptions{Mode: mode}); err != nil {
		t.Fatal(err)
	}
	return prefix
}

func TestLinkAndCopyGiveTheSameTree(t *testing.T) {
	a := unpacked(t, "a", "1", entry{name: "ns/a.py", body: "a"}, entry{name: "ns/__init__.py"}, entry{name: "a-1.data/scripts/a", body: "#!python\n"}, entry{name: "a-1.data/headers/a.h", body: "h"})
	b := unpacked(t, "b", "2", entry{name: "ns/b.py", body: "b"}, entry{name: "ns/__init__.py", mode: 0o755}, entry{name: "b-2.data/data/etc/b", body: "d"})
	hard, other := linked(t, LinkAuto, "3.11", a, b), linked(t, LinkCopy, "3.11", b, a)
	if x, y := listing(t, hard), listing(t, other); x != y {
		t.Errorf("linked:\n%s\ncopied, in another order:\n%s", x, y)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(hard, "lib/python3.11/site-packages/ns/a.py"), &st); err != nil || st.Nlink != 2 {
		t.Errorf("links = %d, %v", st.Nlink, err)
	}
	if err := syscall.Stat(filepath.Join(other, "lib/python3.11/site-packages/ns/a.py"), &st); err != nil || st.Nlink != 1 || st.Mtim.Sec != Time.Unix() {
		t.Errorf("copy: links = %d, time %d, %v", st.Nlink, st.Mtim.Sec, err)
	}
	for _, f := range []string{"bin/a", "include/site/python3.11/a/a.h", "etc/b", "lib/python3.11/site-packages/a-1.dist-info/RECORD"} {
		if _, err := os.Stat(filepath.Join(hard, f)); err != nil {
			t.Error(err)
		}
	}
	rec, err := os.ReadFile(filepath.Join(hard, "lib/python3.11/site-packages/a-1.dist-info/RECORD"))
	if err != nil || !strings.Contains(string(rec), "../../../include/site/python3.11/a/a.h,") {
		t.Errorf("RECORD with headers: %s, %v", rec, err)
	}
}

func TestLinkRefusesConflicts(t *testing.T) {
	a := unpacked(t, "a", "1", entry{name: "same.py", body: "a"}, entry{name: "tests/x.py", body: "a"}, entry{name: "LICENSE", body: "a"})
	b := unpacked(t, "b", "2", entry{name: "same.py", body: "b"}, entry{name: "tests/x.py", body: "b"}, entry{name: "LICENSE", body: "b"})
	err := Link([]Wheel{a, b}, t.TempDir(), "3.11", LinkOptions{Conflict: func(e *ConflictError) error {
		if e.Harmless() {
			return nil
		}
		return e
	}})
	var c *ConflictError
	if !errors.As(err, &c) || c.A != a.File || c.B != b.File || c.Path != "lib/python3.11/site-packages/same.py" {
		t.Errorf("error = %v", err)
	}
	if err := Link([]Wheel{a, b}, t.TempDir(), "3.11", LinkOptions{}); !errors.As(err, &c) {
		t.Errorf("without a callback: %v", err)
	}
	prefix := t.TempDir()
	if err := Link([]Wheel{a, b}, prefix, "3.11", LinkOptions{Conflict: func(*ConflictError) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(prefix, "lib/python3.11/site-packages/same.py")); string(got) != "a" {
		t.Errorf("the first wheel should have won: %q", got)
	}
}

func TestLinkRefusesAFileWhereAnotherHasAFolder(t *testing.T) {
	a := unpacked(t, "a", "1", entry{name: "x", body: "a"})
	b := unpacked(t, "b", "2", entry{name: "x/y/z.py", body: "b"})
	var c *ConflictError
	err := Link([]Wheel{b, a}, t.TempDir(), "3.11", LinkOptions{})
	if !errors.As(err, &c) || c.A != a.File || c.B != b.File {
		t.Errorf("error = %v", err)
	}
}

func TestLinkDoesNotReplaceWhatIsThere(t *testing.T) {
	a := unpacked(t, "a", "1", entry{name: "a-1.data/scripts/python", body: "#!/bin/sh\n"})
	prefix := t.TempDir()
	if err := os.Mkdir(filepath.Join(prefix, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr/bin/python3", filepath.Join(prefix, "bin/python")); err != nil {
		t.Fatal(err)
	}
	err := Link([]Wheel{a}, prefix, "3.11", LinkOptions{})
	if !errors.Is(err, os.ErrExist) && !errors.Is(err, syscall.EEXIST) {
		t.Errorf("error = %v", err)
	}
	wantError(t, err, a.File)
}

func TestLinkChecksThePythonVersion(t *testing.T) {
	for _, v := range []string{"", "3", "2.7", "3.x", "3.11/../../..", "3.111"} {
		if err := Link(nil, t.TempDir(), v, LinkOptions{}); err == nil {
			t.Errorf("%q was accepted", v)
		}
	}
}

// A store on another file system, or a file with too many links, means a copy.
func TestLinkCopiesWhereItCannotLink(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "wheel-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(shm)
	w := unpacked(t, "a", "1", entry{name: "a.py", body: "a", mode: 0o755})
	if err := Link([]Wheel{w}, shm, "3.11", LinkOptions{}); err != nil {
		t.Fatal(err)
	}
	if x, y := listing(t, shm), listing(t, linked(t, LinkAuto, "3.11", w)); x != y {
		t.Errorf("across file systems:\n%s\nwant:\n%s", x, y)
	}
}

// A layer must not depend on the umask of who makes it.
func TestUmaskDoesNotMatter(t *testing.T) {
	old := syscall.Umask(0o077)
	w := unpacked(t, "a", "1", entry{name: "p/a.py", body: "a"}, entry{name: "a-1.data/scripts/s", body: "#!python\n"})
	prefix := linked(t, LinkCopy, "3.11", w)
	syscall.Umask(old)
	for _, root := range []string{w.Dir, prefix} {
		err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
			if err != nil || p == root {
				return err
			}
			fi, err := d.Info()
			if err == nil && fi.Mode().Perm()&0o044 != 0o044 {
				t.Errorf("%s has mode %v", p, fi.Mode())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
