package out

import (
	"os"
	"path/filepath"
	"testing"
)

// A file has no name before it is whole, or a temporary one where there is no other way; then it takes the place of
// what was there.
func TestTarget(t *testing.T) {
	ways := []bool{true}
	if f, err := nameless(t.TempDir()); err == nil {
		f.Close()
		ways = append(ways, false)
	} else {
		t.Logf("every file has a name here: %v", err)
	}
	for _, named := range ways {
		dir := t.TempDir()
		path := filepath.Join(dir, "x.tar")
		names := func() int {
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			return len(entries)
		}
		make := func() *target {
			f, err := create(path)
			if err == nil && named {
				f.Close()
				f.File, err = os.CreateTemp(dir, ".x.tar.tmp-*")
				f.temp = f.Name()
			}
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		f := make()
		if !named && names() != 1 {
			t.Errorf("it has a name before it is whole")
		}
		f.discard()
		if b, err := os.ReadFile(path); names() != 1 || err != nil || string(b) != "old" {
			t.Errorf("named %v: after a failure there is %q, %v and %d names", named, b, err, names())
		}
		f = make()
		f.WriteString("new")
		if err := f.finish(); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if b, err := os.ReadFile(path); names() != 1 || err != nil || string(b) != "new" {
			t.Errorf("named %v: there is %q, %v and %d names", named, b, err, names())
		}
	}
}
