package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// What the run as one user hands to the run as the next.
const (
	sharedVar = "SANDBOX_TEST_SHARED" // a folder that everybody can read: bin/ scripts/ examples/
	cacheVar  = "SANDBOX_TEST_CACHE"  // a store of downloads only, which everybody fills
	allVar    = "SANDBOX_TEST_ALL"    // if set, every user runs the long scripts too
	seedVar   = "SANDBOX_TEST_SEED"   // what a script that says its seed goes by, to repeat it
)

// TestScripts runs testdata/script as whoever runs the tests: testdata/script/README.md says how one
// is written.
func TestScripts(t *testing.T) {
	s := share(t)
	testscript.Run(t, testscript.Params{
		Files:               scriptFiles(t, s.scripts()),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               s.setup,
		Condition:           condition,
		Cmds:                commandsOfScripts,
		TestWork:            os.Getenv("SANDBOX_TEST_WORK") != "",
	})
}

// TestScriptsAs runs the same scripts as the two ordinary users, one after the other: in a process of
// the user's own, because what a sandbox may do depends on who starts it.
func TestScriptsAs(t *testing.T) {
	testenv.Need(t, "users")
	s := share(t)
	for _, name := range []string{testenv.WithSubuid, testenv.WithoutSubuid} {
		t.Run(name, func(t *testing.T) {
			u := testenv.As(t, name)
			cmd := u.Command(filepath.Join(s.dir, "bin", "script.test"), "-test.run=^TestScripts$", "-test.v", "-test.timeout="+before(t).String())
			cmd.Env = append(cmd.Env, sharedVar+"="+s.dir, cacheVar+"="+s.cache, allVar+"="+os.Getenv(allVar), seedVar+"="+os.Getenv(seedVar), testenv.MustVar+"="+mustOf(name))
			if only := os.Getenv("SANDBOX_TEST_SCRIPT"); only != "" {
				cmd.Env = append(cmd.Env, "SANDBOX_TEST_SCRIPT="+only)
			}
			if b, err := testenv.Busybox(); err == nil {
				cmd.Env = append(cmd.Env, testenv.BusyboxVar+"="+b)
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("as %s: %v\n%s", name, err, out)
			} else {
				t.Logf("%s", summary(string(out)))
			}
		})
	}
}

// before is the time that is left for a process of its own, which has to end, and say what hung, before this
// one is ended.
func before(t *testing.T) time.Duration {
	deadline, ok := t.Deadline()
	if !ok {
		return 0
	}
	return max(time.Until(deadline)-20*time.Second, time.Second).Round(time.Second)
}

// mustOf is SANDBOX_TEST_MUST for another user: what only root has falls away, a range is added.
func mustOf(name string) string {
	list := strings.FieldsFunc(os.Getenv(testenv.MustVar), func(r rune) bool { return r == ',' || r == ' ' })
	if len(list) == 0 {
		return ""
	}
	rootOnly := []string{"root", "users", "docker", "containerd", "devcgroup", "groups", "mknod", "loop"}
	list = slices.DeleteFunc(list, func(s string) bool {
		return slices.Contains(rootOnly, s) || name != testenv.WithSubuid && s == "podman"
	})
	if name == testenv.WithSubuid {
		list = append(list, "subuid")
	}
	return strings.Join(list, ",")
}

// summary is the verdicts alone.
func summary(out string) string {
	var lines []string
	for line := range strings.SplitSeq(out, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "--- ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// shared is the folder that the users share.
type shared struct{ dir, cache string }

func (s shared) scripts() string { return filepath.Join(s.dir, "scripts") }

var made = sync.OnceValue(func() error { return makeShared(sharedDir) })

// share makes the folder once in a process, or finds the one that was handed on.
func share(t *testing.T) shared {
	t.Helper()
	if dir := os.Getenv(sharedVar); dir != "" {
		return shared{dir, os.Getenv(cacheVar)}
	}
	if err := made(); err != nil {
		t.Fatal(err)
	}
	cache := os.Getenv(cacheVar)
	if cache == "" {
		cache = filepath.Join(sharedDir, "cache")
	}
	return shared{sharedDir, cache}
}

// makeShared builds the front and the engine as they are released, and copies what scripts need to where
// every user can read it: a repository below somebody's home is not.
func makeShared(dir string) error {
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "bin"), 0o755), makeCache(filepath.Join(dir, "cache"))); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-o", filepath.Join(dir, "bin") + "/"}
	if os.Getenv("GOCOVERDIR") != "" {
		args = append(args, "-cover", "-coverpkg=github.com/4cc2e759/sandbox/...")
	}
	build := exec.Command("go", append(args, ".", "../sandbox-engine")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	if testenv.Check("cc") == nil { // as `make build`: what needs a C compiler is left out without one
		probe := exec.Command("go", append(args, "../sandbox-gpu-probe")...)
		probe.Env = append(os.Environ(), "CGO_ENABLED=1", "CGO_CFLAGS=-O2 -g -Wno-deprecated-declarations")
		if out, err := probe.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(dir, "scripts"), os.DirFS("testdata/script")); err != nil {
		return err
	}
	// As a fresh clone would have it, with what is not committed yet.
	const copyRepo = `mkdir "$1/repo" && cd ../.. && git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
		xargs -0 sh -c 'for f; do [ ! -f "$f" ] || printf "%s\\0" "$f"; done' sh | tar --null -T - -cf - | tar -xf - -C "$1/repo" &&
		ln -s repo/examples "$1/examples" && install -m 755 "$2" "$1/bin/script.test" && chmod -R a+rX "$1"`
	if out, err := exec.Command("sh", "-c", copyRepo, "sh", dir, exe).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the repository: %w: %s", err, out)
	}
	return nil
}

// makeCache makes the folders of a store of downloads, to which every user adds what she had to fetch.
func makeCache(dir string) error {
	for _, sub := range []string{"", "blobs-v1", "blobs-v1/sha256"} {
		p := filepath.Join(dir, sub)
		if err := errors.Join(os.MkdirAll(p, 0o755), os.Chmod(p, 0o777|os.ModeSticky)); err != nil {
			return err
		}
	}
	return nil
}

// sharedDir is made by TestMain and removed by it.
var sharedDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		defer func() {
			if builtStore.dir != "" {
				testenv.RemoveAll(builtStore.dir)
			}
		}()
		if os.Getenv(sharedVar) != "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "sbx-scripts")
		if err == nil {
			err = os.Chmod(dir, 0o755)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer testenv.RemoveAll(dir)
		sharedDir = dir
		return m.Run()
	}())
}

// scriptFiles are the scripts to run: all, those whose names contain SANDBOX_TEST_SCRIPT, less those in a
// file PENDING, which is never committed.
func scriptFiles(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(all) == 0 {
		t.Fatal("no scripts in", dir, err)
	}
	pending, _ := os.ReadFile(filepath.Join(dir, "PENDING"))
	return slices.DeleteFunc(all, func(p string) bool {
		name := strings.TrimSuffix(filepath.Base(p), ".txtar")
		if slices.Contains(strings.Fields(string(pending)), name) {
			t.Log("pending:", name)
			if os.Getenv("SANDBOX_TEST_PENDING") == "" {
				return true
			}
		}
		return !strings.Contains(name, os.Getenv("SANDBOX_TEST_SCRIPT"))
	})
}
