package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// setup gives a script the environment of somebody who has just logged in, with a home of its own and
// the program under test first on PATH.
func (s shared) setup(e *testscript.Env) error {
	home := filepath.Join(e.WorkDir, "home")
	run := filepath.Join(e.WorkDir, ".run") // as a log-in makes it: what lies there is this script's alone
	if err := errors.Join(os.Mkdir(home, 0o700), os.Mkdir(run, 0o700)); err != nil {
		return err
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	work := e.Getenv("WORK")
	e.Vars = append(testenv.CleanEnv(name, home), "WORK="+work, "TMPDIR="+e.Getenv("TMPDIR"), "devnull=/dev/null", "/=/", "XDG_RUNTIME_DIR="+run, ":=:", "$=$", "exe=",
		"STORE="+filepath.Join(home, ".local/share/sandbox"),
		"EXAMPLES="+filepath.Join(s.dir, "examples"), "LIB="+filepath.Join(s.scripts(), "lib"), "REPO="+filepath.Join(s.dir, "repo"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=ann", "GIT_COMMITTER_EMAIL=ann@example.org",
		"CACHE="+s.cache, allVar+"="+os.Getenv(allVar), seedVar+"="+os.Getenv(seedVar))
	e.Setenv("PATH", filepath.Join(s.dir, "bin")+":"+e.Getenv("PATH"))
	if d := os.Getenv("GOCOVERDIR"); d != "" {
		e.Setenv("GOCOVERDIR", d)
	}
	e.Values[testKey{}] = e.T()
	e.Values[registryKey{}] = &registryUse{}
	e.Values[cacheKey{}] = &cacheUse{dir: s.cache, bin: filepath.Join(s.dir, "bin")}
	e.Defer(func() { e.Values[cacheKey{}].(*cacheUse).harvest(filepath.Join(home, ".local/share/sandbox")) })
	return nil
}

// condition is what scripts may ask in square brackets, besides testscript's own: the conditions of
// package testenv, `user:NAME`, and `once`, which holds for one user only: for what takes minutes.
func condition(cond string) (bool, error) {
	if name, ok := strings.CutPrefix(cond, "user:"); ok {
		u, err := user.Current()
		return err == nil && u.Username == name, err
	}
	if cond == "once" {
		u, err := user.Current()
		if err != nil {
			return false, err
		}
		matrix := testenv.Check("users") == nil || os.Getenv(sharedVar) != ""
		return !matrix || u.Username == testenv.WithoutSubuid || os.Getenv(allVar) != "", nil
	}
	for _, name := range testenv.Names() {
		if name != cond {
			continue
		}
		err := testenv.Check(name)
		if must, ok := err.(*testenv.MustError); ok {
			return false, must
		}
		return err == nil, nil
	}
	return false, fmt.Errorf("no condition %q; there are %s, once, user:NAME and testscript's own", cond, strings.Join(testenv.Names(), " "))
}
