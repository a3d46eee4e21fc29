package build

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"setup.py", "csrc/a.c", "csrc/deep/b.c", "csrc/deep/b.h", "doc/x.md", ".git/config", "store/tmp/x.c", "sandbox.lock"} {
		p := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("csrc", filepath.Join(dir, "to")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ patterns, want []string }{
		{[]string{"setup.py"}, []string{"setup.py"}},
		{[]string{"csrc"}, []string{"csrc/a.c", "csrc/deep/b.c", "csrc/deep/b.h"}},
		{[]string{"csrc/**/*.c"}, []string{"csrc/a.c", "csrc/deep/b.c"}},
		{[]string{"**/*.md", "setup.py"}, []string{"doc/x.md", "setup.py"}},
		{[]string{"*.py", "setup.py"}, []string{"setup.py"}},
		{[]string{"."}, []string{"csrc/a.c", "csrc/deep/b.c", "csrc/deep/b.h", "doc/x.md", "setup.py"}},
	} {
		got, err := Expand(dir, filepath.Join(dir, "store"), c.patterns)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, %v; want %v", c.patterns, got, err, c.want)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "closed"), 0); err != nil {
		t.Fatal(err)
	}
	if got, err := Expand(dir, "", []string{"csrc/**/*.h"}); err != nil || len(got) != 1 {
		t.Errorf("beside a folder that cannot be read: %v, %v", got, err)
	}
	for _, bad := range []string{"stup.py", "link", "csrc/*.h", ".git/config", "../" + filepath.Base(dir) + "/setup.py", filepath.Join(dir, "setup.py"), "to/deep/b.c", "store/tmp/x.c", "csrc/[a", "sandbox.lock"} {
		if got, err := Expand(dir, filepath.Join(dir, "store"), []string{bad}); err == nil {
			t.Errorf("%s gave %v", bad, got)
		}
	}
}

// The name of a layer covers what it is made from, and nothing else.
func TestKey(t *testing.T) {
	k := func(kind string, below []string, parts ...any) string {
		s, err := key(kind, below, parts...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	base := k("debs", []string{"a"}, "x", int64(1))
	if base != k("debs", []string{"a"}, "x", int64(1)) || len(base) != 64 {
		t.Error("one input, two names")
	}
	for what, other := range map[string]string{
		"kind": k("python", []string{"a"}, "x", int64(1)), "layers below": k("debs", []string{"a", "b"}, "x", int64(1)),
		"pins": k("debs", []string{"a"}, "y", int64(1)), "epoch": k("debs", []string{"a"}, "x", int64(2)),
	} {
		if other == base {
			t.Errorf("the name does not cover the %s", what)
		}
	}
}

func TestEpochOf(t *testing.T) {
	for _, c := range []struct {
		date int64
		asOf string
		want int64
	}{{1700000000, "", 1700000000}, {0, "", fallbackEpoch}, {-62135596800, "", fallbackEpoch}, {1700000000, "2020-12-15", 1607990400}} {
		if got := epochOf(c.date, c.asOf); got != c.want {
			t.Errorf("%d as of %q: %d, want %d", c.date, c.asOf, got, c.want)
		}
	}
}
