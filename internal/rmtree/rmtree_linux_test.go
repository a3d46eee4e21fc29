package rmtree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A removal whose time is up stops where it is, in the middle of a tree, and another one ends it.
func TestRemoveUntil(t *testing.T) {
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
	if _, err := RemoveUntil(dir, time.Now().Add(-time.Second)); !errors.Is(err, ErrLate) || files() != 400 {
		t.Errorf("no time at all: %v, %d files are left", err, files())
	}
	if _, err := RemoveUntil(dir, time.Now().Add(time.Hour)); err != nil {
		t.Errorf("with time: %v", err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("it is there: %v", err)
	}
}
