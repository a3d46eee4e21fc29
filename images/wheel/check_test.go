package wheel

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// T-18: whichever byte of an unpacked wheel changes, and whatever is gone or too much, is named.
func TestCheckNamesDamage(t *testing.T) {
	w := unpacked(t, "foo", "1.0", entry{name: "foo/__init__.py", body: "x = 1\n"}, entry{name: "foo/empty"},
		entry{name: "foo-1.0.data/scripts/tool", body: "#!python\nprint()\n"})
	if err := Check(t.Context(), w.Dir); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ undo, do func(path string) error }{
		"site/foo/empty": {func(p string) error { return os.WriteFile(p, nil, 0o644) }, os.Remove},
		"site/foo/more":  {os.Remove, func(p string) error { return os.WriteFile(p, nil, 0o644) }},
		"scripts/tool":   {func(p string) error { return os.Chmod(p, 0o755) }, func(p string) error { return os.Chmod(p, 0o644) }},
		"site/foo/__init__.py": {func(p string) error { return errors.Join(os.Remove(p), os.Rename(p+".was", p)) },
			func(p string) error { return errors.Join(os.Rename(p, p+".was"), os.Symlink("__init__.py.was", p)) }},
	} {
		path := filepath.Join(w.Dir, name)
		if err := c.do(path); err != nil {
			t.Fatal(err)
		}
		if err := Check(t.Context(), w.Dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.undo(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"site/foo/__init__.py", "scripts/tool", "site/foo-1.0.dist-info/RECORD", "site/foo-1.0.dist-info/METADATA", "files"} {
		path := filepath.Join(w.Dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1
			if err := os.WriteFile(path, bad, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := Check(t.Context(), w.Dir); err == nil {
				t.Errorf("%s: byte %d (%q)", name, i, bad[i])
			}
		}
		if err := os.WriteFile(path, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Check(t.Context(), w.Dir); err != nil {
		t.Errorf("as it was: %v", err)
	}
}
