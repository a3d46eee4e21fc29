package launch

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func testLauncher(t *testing.T) *Launcher {
	return &Launcher{StoreDir: t.TempDir(), Environ: map[string]string{}, Log: slog.New(slog.DiscardHandler)}
}

func TestInstanceIsLockedWhileOpen(t *testing.T) {
	m := testLauncher(t)
	in, err := m.Open("box")
	if err != nil {
		t.Fatal(err)
	}
	if !m.Running("box") {
		t.Error("an open sandbox does not count as running")
	}
	if _, err := m.Open("box"); !errors.Is(err, ErrRunning) {
		t.Errorf("opened twice: %v", err)
	}
	if err := m.RemoveKept("box"); !errors.Is(err, ErrRunning) {
		t.Errorf("removed while running: %v", err)
	}
	if err := in.SetState(State{Env: "sha256:1", Ended: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if m.Running("box") {
		t.Error("a closed sandbox counts as running")
	}
	list, err := m.Kept()
	if err != nil || len(list) != 1 || list[0].Name != "box" || list[0].Env != "sha256:1" {
		t.Errorf("list: %+v, %v", list, err)
	}
	if err := m.RemoveKept("box"); err != nil {
		t.Error(err)
	}
	if err := m.RemoveKept("box"); err == nil {
		t.Error("removed twice")
	}
}

func TestThrowawayLeavesNothing(t *testing.T) {
	m := testLauncher(t)
	for _, wrote := range []bool{false, true} {
		in, err := m.New()
		if err != nil {
			t.Fatal(err)
		}
		if wrote { // as a program may leave it: a folder nobody can enter
			deep := filepath.Join(in.Dir, "upper", "a", "b")
			if err := os.MkdirAll(deep, 0o755); err != nil {
				t.Fatal(err)
			}
			os.WriteFile(filepath.Join(deep, "f"), []byte("x"), 0o400)
			os.Chmod(deep, 0)
		}
		if err := in.Remove(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(m.Sandboxes()); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSweep(t *testing.T) {
	m := testLauncher(t)
	running, err := m.New()
	if err != nil {
		t.Fatal(err)
	}
	defer running.Remove()
	dead, err := m.New()
	if err != nil {
		t.Fatal(err)
	}
	dead.lock.Close() // as the kernel does when the process dies
	for name, ended := range map[string]time.Time{"shell-old": time.Now().Add(-8 * 24 * time.Hour), "shell-new": time.Now()} {
		in, err := m.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.SetState(State{Shell: true, Ended: ended}); err != nil {
			t.Fatal(err)
		}
		in.Close()
	}
	m.Sweep()
	for dir, want := range map[string]bool{running.Dir: true, dead.Dir: false, filepath.Join(m.Sandboxes(), "shell-old"): false, filepath.Join(m.Sandboxes(), "shell-new"): true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", dir, err == nil, want)
		}
	}
}

// A shell that was resumed and ended between the look and the lock is a new one.
func TestSweepLooksAgainUnderTheLock(t *testing.T) {
	m := testLauncher(t)
	in, err := m.Open("shell")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ended time.Time
		stays bool
	}{{time.Now(), true}, {time.Now().Add(-8 * 24 * time.Hour), false}} {
		if err := in.SetState(State{Shell: true, Ended: c.ended}); err != nil {
			t.Fatal(err)
		}
		in.lock.Close()
		m.sweep("shell")
		if _, err := os.Stat(filepath.Join(in.Dir, "upper")); (err == nil) != c.stays {
			t.Errorf("ended %v: %v", c.ended, err)
		}
		if m.Running("shell") {
			t.Error("it is locked still")
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, ok := range []string{"a", "try-1", "x.y_z", "0"} {
		if err := CheckName(ok); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", ".run-x", "../x", "A", "a/b", "-x", string(make([]byte, 80))} {
		if CheckName(bad) == nil {
			t.Errorf("%q is allowed", bad)
		}
	}
}
