package rmtree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
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

// Trees that are removed at the same time and share files give back each file once.
func TestTogether(t *testing.T) {
	dir := t.TempDir()
	const trees, files, blocks = 8, 200, 4096
	for i := range trees {
		tree := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		for f := range files {
			path := filepath.Join(tree, fmt.Sprint(f))
			var err error
			if i == 0 {
				err = os.WriteFile(path, make([]byte, blocks), 0o644)
			} else {
				err = os.Link(filepath.Join(dir, "0", fmt.Sprint(f)), path)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	folders := int64(0)
	for i := range trees {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, fmt.Sprint(i)), &st); err != nil {
			t.Fatal(err)
		}
		folders += st.Blocks * 512
	}
	var together Together
	var freed atomic.Int64
	var wg sync.WaitGroup
	for i := range trees {
		wg.Go(func() {
			n, err := together.RemoveWhile(filepath.Join(dir, fmt.Sprint(i)), nil)
			if err != nil {
				t.Error(err)
			}
			freed.Add(n)
		})
	}
	wg.Wait()
	if got := freed.Load() - folders; got != files*blocks {
		t.Errorf("%d bytes of files are given back, not %d", got, files*blocks)
	}
}
