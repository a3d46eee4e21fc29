package launch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/4cc2e759/sandbox/envfile/terms"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// testProject has an env file, a lock and an input, and a kept plan that c completes.
func testProject(t *testing.T, c Compiled) (*Project, *Compiled) {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	dir := t.TempDir()
	for _, name := range []string{EnvName, LockName, "input"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := testLauncher(t).Find(filepath.Join(dir), ProjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := StampOf(filepath.Join(dir, "input"))
	if err != nil {
		t.Fatal(err)
	}
	c.Root, c.Stamps = p.Dir, []Stamp{s}
	p.Keep(&c)
	return p, &c
}

func TestCached(t *testing.T) {
	p, _ := testProject(t, Compiled{})
	if p.Cached() == nil {
		t.Fatal("a plan that was just kept is not found")
	}
	other := *p
	other.EnvSrc = []byte("changed")
	if other.Cached() != nil {
		t.Error("found for another env file")
	}
	l := *p.l
	l.BuildID = "another"
	other = *p
	other.l = &l
	if other.Cached() != nil {
		t.Error("found by another build")
	}
	if err := os.WriteFile(filepath.Join(p.Dir, "input"), []byte("a longer input"), 0o644); err != nil {
		t.Fatal(err)
	}
	if p.Cached() != nil {
		t.Error("found after an input has changed")
	}
}

// Everything that the front cannot do by itself is the engine's, and leaves nothing behind.
func TestTryLeavesToTheEngine(t *testing.T) {
	gone := []spec.Lower{{Path: filepath.Join(t.TempDir(), "layer", "fs")}}
	for name, c := range map[string]Compiled{
		"steps":        {Steps: []terms.Step{{Where: "project"}}},
		"dependencies": {Tasks: map[string]Task{"x": {Task: terms.Task{Depends: []string{"y"}}}, "y": {}}},
		"consent":      {Wants: "sha256:1", Asks: "the folder /data"},
		"no folder":    {Env: plan.Env{Mounts: map[string]terms.Mount{"data": {Kind: "host", To: "/data"}}}},
		"layer":        {Env: plan.Env{Lowers: gone}},
		"no stubs":     {},
	} {
		p, _ := testProject(t, c)
		if _, err := p.Try(context.Background(), RunOptions{Args: []string{"x"}}); !errors.Is(err, ErrEngine) {
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := os.ReadDir(p.l.Sandboxes()); len(left) > 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
	p, _ := testProject(t, Compiled{})
	for name, o := range map[string]RunOptions{"nothing to run": {}, "not a name": {Args: []string{"x"}, Name: "A/b"}} {
		if _, err := p.Try(context.Background(), o); !errors.Is(err, ErrEngine) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.LockSrc = nil
	if _, err := p.Try(context.Background(), RunOptions{Args: []string{"x"}}); !errors.Is(err, ErrEngine) {
		t.Errorf("no lock: %v", err)
	}
}

func TestBuildIDIsOfTheEngine(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "engine")
	if err := os.WriteFile(exe, []byte("one"), 0o755); err != nil {
		t.Fatal(err)
	}
	link := exe + "-link"
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	a := BuildID("1", exe)
	if b := BuildID("1", link); a != b {
		t.Errorf("%q by its own name, %q by another", a, b)
	}
	if err := os.WriteFile(exe, []byte("another"), 0o755); err != nil {
		t.Fatal(err)
	}
	if b := BuildID("1", exe); a == b || BuildID("2", exe) == b {
		t.Error("another build or version has the same id")
	}
}

// T-11, T-18: a kept plan of which one bit has changed is a miss, wherever it is; so is something in its place that
// would keep the start waiting.
func TestDamagedPlansAreMisses(t *testing.T) {
	p, _ := testProject(t, Compiled{Env: plan.Env{Digest: "sha256:1", Lowers: []spec.Lower{{Path: "/store/layers-v1/0123/fs"}}, ImageEnv: []string{"A=1"}}})
	file := p.cacheFile()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		x := append([]byte{}, b...)
		x[i] ^= 1 << (i % 8)
		if err := os.WriteFile(file, x, 0o600); err != nil {
			t.Fatal(err)
		}
		if p.Cached() != nil {
			t.Fatalf("byte %d of %d is changed, and the plan is used", i, len(b))
		}
	}
	for name, put := range map[string]func() error{
		"a fifo":   func() error { return syscall.Mkfifo(file, 0o600) },
		"a folder": func() error { return os.Mkdir(file, 0o700) },
		"a link":   func() error { return errors.Join(os.WriteFile(file+"2", b, 0o600), os.Symlink(file+"2", file)) },
	} {
		if err := errors.Join(os.Remove(file), put()); err != nil {
			t.Fatal(err)
		}
		if p.Cached() != nil {
			t.Errorf("%s is used", name)
		}
	}
	if err := errors.Join(os.Remove(file), os.WriteFile(file, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	if p.Cached() == nil {
		t.Error("the plan itself is a miss")
	}
}
