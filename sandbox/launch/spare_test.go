package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What a killed process has left goes with the next that needs such a folder; what is in use stays.
func TestSpare(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	one, two, dead := testLauncher(t), testLauncher(t), testLauncher(t)
	var said []string
	one.Notice = func(s string) { said = append(said, s) }
	gone, err := dead.Spare()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(gone+"/run-1/upper/a", 0o755); err != nil {
		t.Fatal(err)
	}
	dead.spare.Close() // as the kernel does when the process dies
	for range 2 {
		in, err := one.newSpare()
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(filepath.Dir(in.Dir)) != tmp || !in.Spare {
			t.Errorf("%+v", in)
		}
		if dir, err := one.cacheDir(in, "home"); err != nil || filepath.Dir(filepath.Dir(dir)) != in.Dir {
			t.Errorf("cache in %s: %v", dir, err)
		}
		if err := in.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(in.Dir); err == nil {
			t.Error("not removed")
		}
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "the store is read-only: ") {
		t.Errorf("said %q", said)
	}
	mine, _ := one.Spare()
	other, err := two.Spare()
	if err != nil || other == mine {
		t.Errorf("%s and %s, %v", mine, other, err)
	}
	if _, err := os.Stat(gone); err == nil {
		t.Error("what was left behind is still there")
	}
	one.Close()
	two.Close()
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	t.Setenv("TMPDIR", "/nowhere")
	three := testLauncher(t)
	three.Environ["XDG_RUNTIME_DIR"] = tmp
	if dir, err := three.Spare(); err != nil || filepath.Dir(dir) != tmp {
		t.Errorf("%s, %v", dir, err)
	}
	three.Close()
}

func TestReadOnly(t *testing.T) {
	l := testLauncher(t)
	for err, want := range map[error]bool{syscall.EROFS: true, syscall.EACCES: true, syscall.ENOSPC: false, nil: false} {
		if err != nil {
			err = fmt.Errorf("mkdir: %w", err)
		}
		if got := errors.Is(l.ReadOnly(err), ErrReadOnly); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
}
