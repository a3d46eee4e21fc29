package layer

import (
	"bytes"
	"errors"
	"fmt"
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

// chain is links that lead to each other and at last to end, each by way of so many detours through a folder.
func chain(links, detours int, end string) []ent {
	es := ents(dir("d/", 0o755), dir("end/", 0o755), file("end/f", "found"))
	for i := range links {
		next := fmt.Sprintf("l%d", i+1)
		if i == links-1 {
			next = end
		}
		es = append(es, symlink(fmt.Sprintf("l%d", i), strings.Repeat("d/../", detours)+next))
	}
	return es
}

// T-86: a look-up ends after so many components, not only after so many links.
func TestLinksWithManyComponents(t *testing.T) {
	s := stackOf(t, chain(40, 45, "end"))
	if b, err := s.ReadFile("/l0/f", 100); err != nil || string(b) != "found" {
		t.Errorf("40 links of 91 components: %q, %v", b, err)
	}
	d, _ := apply(t, makeTar(t, append(chain(40, 45, "end"), file("l0/g", ""), hardlink("h", "l0/g"))...))
	if _, err := os.Lstat(d + "/fs/end/g"); err != nil {
		t.Errorf("40 links of 91 components: %v", err)
	}
	s = stackOf(t, chain(39, 810, "end"))
	if _, err := s.ReadFile("/l0/f", 100); !errors.Is(err, unix.ELOOP) {
		t.Errorf("39 links of 1621 components: %v", err)
	}
	for name, e := range map[string]ent{"a file": file("l0/g", ""), "a hard link": hardlink("h", "l0/f")} {
		_, err := Apply(t.Context(), bytes.NewReader(makeTar(t, append(chain(39, 810, "end"), e)...)), newLayer(t), ApplyOptions{})
		if !errors.Is(err, unix.ELOOP) {
			t.Errorf("%s behind 39 links of 1621 components: %v", name, err)
		}
	}
	es := chain(39, 50, "end")
	for i := range 40 {
		es = append(es, dir(fmt.Sprintf("end/%d/", i), 0o755), file(fmt.Sprintf("l0/%d/f", i), ""))
	}
	if _, err := Apply(t.Context(), bytes.NewReader(makeTar(t, es...)), newLayer(t), ApplyOptions{}); !errors.Is(err, unix.ELOOP) {
		t.Errorf("40 files, each behind 39 links of 101 components: %v", err)
	}
	deep := strings.TrimSuffix(strings.Repeat("d/", 2000), "/")
	tree, _ := apply(t, makeTar(t, file(deep, "found")))
	var many []string
	for range 40 {
		many = append(many, tree+"/fs")
	}
	s = NewStack(many[:3])
	defer s.Close()
	if b, err := s.ReadFile(deep, 100); err != nil || string(b) != "found" {
		t.Errorf("2000 folders in 3 layers: %q, %v", b, err)
	}
	s = NewStack(many)
	defer s.Close()
	if _, err := s.ReadFile(deep, 100); !errors.Is(err, unix.ELOOP) {
		t.Errorf("2000 folders in 40 layers: %v", err)
	}
}

// ".." is the folder that the link before it led to.
func TestStackParentOfLinks(t *testing.T) {
	s := stackOf(t, ents(symlink("l", "a/b/c"), file("a/b/c/f", ""), file("a/b/g", ""), symlink("m", "l/../../b/../../l/../g"), symlink("abs", "/l/../.."), file("a/x", "")))
	for path, want := range map[string]string{"l/../g": "/a/b/g", "m": "/a/b/g", "l/../../../../../l/f": "/a/b/c/f", "abs/b/c/../../b/c/f": "/a/b/c/f", "abs/x": "/a/x"} {
		if got, err := s.Resolve(path); err != nil || got != want {
			t.Errorf("%q resolves to %q (%v), want %q", path, got, err, want)
		}
		if _, err := s.Stat(path); err != nil {
			t.Error(err)
		}
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
