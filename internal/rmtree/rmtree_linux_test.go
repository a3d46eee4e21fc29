package rmtree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A removal that is told to stop does so in the middle of a tree, and another one ends it.
func TestRemoveWhile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	files := func() (n int) {
		filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				n++
			}
			return nil
		})
		return n
	}
	for i := range 40 {
		sub := filepath.Join(dir, fmt.Sprint(i), "sub")
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for j := range 10 {
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(j)), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := RemoveWhile(dir, func() bool { return false }); !errors.Is(err, ErrStopped) || files() != 400 {
		t.Errorf("at once: %v, %d files are left", err, files())
	}
	asked := 0
	if _, err := RemoveWhile(dir, func() bool { asked++; return asked < 6 }); !errors.Is(err, ErrStopped) || files() == 0 || files() == 400 {
		t.Errorf("in the middle: %v, %d files are left", err, files())
	}
	if _, err := RemoveWhile(dir, func() bool { return true }); err != nil {
		t.Errorf("to the end: %v", err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("it is there: %v", err)
	}
}
