package layer

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func stackOf(t *testing.T, layers ...[]ent) *Stack {
	t.Helper()
	var trees []string
	for _, l := range layers {
		d, _ := apply(t, makeTar(t, l...))
		trees = append(trees, d+"/fs")
	}
	s := NewStack(trees)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStackResolve(t *testing.T) {
	s := stackOf(t,
		ents(symlink("lib", "usr/lib"), dir("usr/lib/", 0o755), file("usr/lib/x", "low"), symlink("abs", "/usr/lib"), symlink("out", "../../../../../etc"), symlink("loop", "loop"), dir("gone/", 0o755), file("gone/x", "")),
		ents(file("usr/lib/y", "high"), symlink("chain", "abs/../lib/y"), file(".wh.gone", ""), symlink("p", "/proc/self/root"), file("plain", "")),
	)
	for path, want := range map[string]string{
		"/lib/x": "/usr/lib/x", "abs/y": "/usr/lib/y", "/chain": "/usr/lib/y", "/out/passwd": "/etc/passwd", "/lib/../x": "/usr/x", "../../lib": "/usr/lib",
		"/new/dir": "/new/dir", "/lib/new/../z": "/usr/lib/z", "/": "/", "": "/", "/gone/x": "/gone/x", "/p/etc": "/proc/self/root/etc",
	} {
		if got, err := s.Resolve(path); err != nil || got != want {
			t.Errorf("%q resolves to %q (%v), want %q", path, got, err, want)
		}
	}
	for path, want := range map[string]error{"/loop": unix.ELOOP, "/plain/x": unix.ENOTDIR, strings.Repeat("/x", 3000): unix.ENAMETOOLONG} {
		if got, err := s.Resolve(path); !errors.Is(err, want) {
			t.Errorf("%.20q resolves to %q, error %v", path, got, err)
		}
	}
	if b, err := s.ReadFile("/chain", 100); err != nil || string(b) != "high" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := s.Stat("/gone/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a hidden file: %v", err)
	}
	if _, err := s.ReadFile("/out/passwd", 1<<20); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link out of the stack: %v", err)
	}
}

// T-11: what is no regular file is refused at once, and size is bounded.
func TestStackReadsOnlyFiles(t *testing.T) {
	s := stackOf(t, ents(fifo("passwd"), dir("dir/", 0o755), file("big", strings.Repeat("x", 1001)), symlink("self", "self"), file("ok", strings.Repeat("x", 1000))))
	for _, p := range []string{"passwd", "dir", "big", "self", "none"} {
		if _, err := s.ReadFile(p, 1000); err == nil {
			t.Errorf("%s was read", p)
		}
	}
	if b, err := s.ReadFile("ok", 1000); err != nil || len(b) != 1000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestStackOfNothing(t *testing.T) {
	if _, err := NewStack(nil).Stat("/"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no layers: %v", err)
	}
	if _, err := NewStack([]string{t.TempDir() + "/none"}).Stat("/"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a layer that is gone: %v", err)
	}
}
