package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/registrytest"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// A quota cannot be filled without a file system that has one, so the store's own writes fail as they
// would: from the nth on, as a quota stays full. Each time there is one error in the store's words with its
// hint, no lock, and as soon as there is room the same call works.
func TestQuotaIsFullAtAnyWrite(t *testing.T) {
	testenv.Need(t, "userns", "overlay", "busybox")
	dir := quotaProject(t)
	var total atomic.Int64
	if err := lockAndBuild(t, dir, func(string, string) error { total.Add(1); return nil }); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(dir, LockName))
	if err != nil {
		t.Fatal(err)
	}
	if total.Load() < 40 {
		t.Fatalf("only %d writes: the store does not ask before each", total.Load())
	}
	step := total.Load()/12 + 1
	for n := int64(1); n <= total.Load(); n += step {
		if err := os.Remove(filepath.Join(dir, LockName)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		quotaFullAt(t, dir, n, string(want))
	}
}

func quotaFullAt(t *testing.T, dir string, n int64, want string) {
	t.Helper()
	var mu sync.Mutex
	seen, site := int64(0), ""
	m := quotaManager(t, func(op, path string) error {
		mu.Lock()
		defer mu.Unlock()
		if seen++; seen < n {
			return nil
		}
		if site == "" {
			site = op + " " + path
		}
		return syscall.EDQUOT
	})
	err := lockAndBuildWith(m, dir)
	var se *store.SpaceError
	if !errors.As(err, &se) || !se.Quota || !strings.Contains(err.Error(), "disk quota exceeded") {
		t.Errorf("write %d (%s): %v", n, site, err)
		return
	}
	if h := hint.Of(err); len(h) == 0 || !strings.Contains(h[0], "free some of your quota") {
		t.Errorf("write %d (%s): hints %q", n, site, h)
	}
	// Locked and then not built, or not locked: never half a lock.
	if b, err := os.ReadFile(filepath.Join(dir, LockName)); err == nil {
		if _, err := envfile.ReadLock(LockName, b); err != nil {
			t.Errorf("write %d (%s): the lock: %v", n, site, err)
		}
	}
	again, err := Open(Options{StoreDir: m.StoreDir(), Environ: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := lockAndBuildWith(again, dir); err != nil {
		t.Errorf("write %d (%s): with room again: %v", n, site, err)
		return
	}
	if got, _ := os.ReadFile(filepath.Join(dir, LockName)); string(got) != want {
		t.Errorf("write %d (%s): another lock:\n%s", n, site, got)
	}
}

// quotaProject is a project on a tiny image, with a step.
func quotaProject(t *testing.T) string {
	path, err := testenv.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	prog, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := registrytest.Blobs{}
	b.Layout(t, filepath.Join(dir, "tiny"), map[string]registrytest.Descriptor{"latest": b.Image(t, registrytest.Image{
		Config: map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": []string{"sh"}},
		Layers: []registrytest.Layer{{Files: []registrytest.File{
			{Name: "bin/"}, {Name: "etc/"}, {Name: "tmp/", Mode: 0o1777},
			{Name: "bin/busybox", Body: string(prog), Mode: 0o755}, {Name: "bin/sh", Link: "busybox"},
		}}},
	})})
	const env = "schema = 1\n[image]\nbase = \"oci:tiny\"\n[[step]]\nrun = \"echo made >/made\"\n"
	if err := os.WriteFile(filepath.Join(dir, EnvName), []byte(env), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// quotaManager has an empty store whose writes ask faults.
func quotaManager(t *testing.T, faults func(op, path string) error) *Manager {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	m, err := Open(Options{StoreDir: t.TempDir(), Environ: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	m.storeOnce.Do(func() { m.store, m.storeErr = store.Open(m.StoreDir(), store.Options{Faults: faults}) })
	return m
}

func lockAndBuild(t *testing.T, dir string, faults func(op, path string) error) error {
	t.Helper()
	return lockAndBuildWith(quotaManager(t, faults), dir)
}

func lockAndBuildWith(m *Manager, dir string) error {
	p, err := m.Project(dir, ProjectOptions{})
	if err != nil {
		return err
	}
	_, err = p.Build(context.Background())
	return err
}
