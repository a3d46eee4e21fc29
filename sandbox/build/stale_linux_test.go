package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Bytecode that must stay hidden when a writable layer leaves without its own.
func TestStaleBytecode(t *testing.T) {
	pyc := func(flags byte) string { return "magi" + string([]byte{flags}) + "\x00\x00\x00timesize code" }
	timed, checkedHash, uncheckedHash := pyc(0), pyc(3), pyc(1)
	lower := func(files map[string]string) string {
		dir := t.TempDir()
		if err := os.Rename(makeTree(t, files), filepath.Join(dir, "fs")); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	base := lower(map[string]string{
		"p/a.py": "", "p/__pycache__/a.cpython-311.pyc": uncheckedHash, "p/__pycache__/a.cpython-311.opt-1.pyc": timed, "p/__pycache__/ab.cpython-311.pyc": timed,
		"p/__pycache__/b.cpython-311.pyc": timed, "p/__pycache__/c.cpython-311.pyc": uncheckedHash, "p/__pycache__/d.cpython-311.pyc": timed,
		"p/__pycache__/e.cpython-311.pyc": checkedHash, "p/__pycache__/f.cpython-311.pyc": uncheckedHash, "p/__pycache__/a.dotted.cpython-311.pyc": timed,
		"removed/__pycache__/a.pyc": timed, "again/__pycache__/a.pyc": timed, "again/__pycache__/b.pyc": timed, "opaque/__pycache__/a.cpython-311.pyc": timed,
		"file/__pycache__": "", "link": "->p", "gone/__pycache__/a.cpython-311.pyc": timed, "untouched/__pycache__/a.cpython-311.pyc": uncheckedHash,
		"closed/__pycache__/a.cpython-311.pyc": timed, "closed/__pycache__/b.cpython-311.pyc": timed,
	})
	middle := lower(map[string]string{"p/__pycache__/new.cpython-311.pyc": timed, "gone/": ""})
	upper := makeTree(t, map[string]string{
		"p/a.py": "changed", "p/new.py": "->a.py", "p/__pycache__/b.cpython-311.pyc": "by the way", "p/__pycache__/c.cpython-311.pyc": "on purpose",
		"p/__pycache__/e.cpython-311.pyc": "by the way", "p/__pycache__/other.cpython-311.pyc": "of nothing below",
		"removed/x": "", "again/__pycache__/a.pyc": timed, "again/a.py": "", "opaque/a.py": "", "opaque/__pycache__/a.cpython-311.pyc": "", "file/a.py": "", "link/a.py": "", "gone/a.py": "",
		"elsewhere/__pycache__/a.pyc": "", "elsewhere/a.py": "", "closed/a.py": "",
	})
	closed := filepath.Join(base, "fs/closed/__pycache__")
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(closed, 0o700) })
	for _, p := range []string{"p/__pycache__/d.cpython-311.pyc", "removed/__pycache__", "elsewhere/b.py"} {
		if err := unix.Mknod(filepath.Join(upper, p), unix.S_IFCHR, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{filepath.Join(upper, "again/__pycache__"), filepath.Join(upper, "opaque"), filepath.Join(middle, "fs/gone")} {
		if err := unix.Setxattr(p, "user.overlay.opaque", []byte("y"), 0); err != nil {
			t.Fatal(err)
		}
	}
	got, err := StaleBytecode(upper, []string{base, middle})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"again/__pycache__", "p/__pycache__/a.cpython-311.opt-1.pyc", "p/__pycache__/a.cpython-311.pyc", "p/__pycache__/a.dotted.cpython-311.pyc",
		"p/__pycache__/c.cpython-311.pyc", "p/__pycache__/d.cpython-311.pyc", "p/__pycache__/new.cpython-311.pyc", "removed/__pycache__",
	}
	if os.Getuid() == 0 {
		want = slices.Insert(want, 1, "closed/__pycache__/a.cpython-311.pyc")
	} else { // what cannot be looked at is hidden altogether
		want = slices.Insert(want, 1, "closed/__pycache__")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
