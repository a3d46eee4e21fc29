// How many processors a cgroup allows does not matter to a program that waits: finding out, and again
// every second, reads /proc/self/mountinfo.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command sandbox is the front: it starts what is built already, and executes the engine
// (cmd/sandbox-engine) in its own place for everything else. It links little, because every start
// pays for what is linked; docs/decisions/031-front-and-engine.md has the numbers.
//
// Start with main below, then args.go for which command lines it knows, and package sandbox/launch
// for what it does with them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/smallfile"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// version is set by the linker; the engine's is the same.
var version = "0.1.0-dev"

// Exit codes of our own for run, as the engine has them.
const (
	codeFail = 1
	failRun  = 125
)

func main() {
	engine, missing := findEngine()
	if r, ok := parse(os.Args[1:]); ok && missing == nil {
		// Layers and what the program writes must come out the same for everybody.
		mask := syscall.Umask(0o022)
		code, err := run(r, engine)
		if !errors.Is(err, launch.ErrEngine) {
			if err != nil {
				say(err)
				code = failRun
				var over *launch.TimeError
				if errors.As(err, &over) {
					code = over.Status()
				}
			}
			os.Exit(code)
		}
		syscall.Umask(mask)
	}
	err := missing
	if err == nil {
		err = syscall.Exec(engine, os.Args, os.Environ())
		err = fmt.Errorf("execute the engine %s: %w", engine, err)
	}
	say(err)
	if len(os.Args) > 1 && (os.Args[1] == "run" || os.Args[1] == "shell") {
		os.Exit(failRun)
	}
	os.Exit(codeFail)
}

// run starts a program in an environment that is ready and waits for it.
func run(r request, engine string) (int, error) {
	environ := environMap(os.Environ())
	l := &launch.Launcher{
		StoreDir: launch.StoreDir(environ), BuildID: launch.BuildID(version, engine), Environ: environ,
		Log: slog.New(slog.DiscardHandler), Front: true, Notice: func(s string) { fmt.Fprintln(os.Stderr, s) },
	}
	var err error
	if l.Config, err = smallfile.ReadIf(launch.ConfigFile()); err != nil {
		return 0, launch.ErrEngine
	}
	o, err := r.options(environ)
	if err != nil {
		return 0, launch.ErrEngine
	}
	p, err := l.Find(r.folder(), launch.ProjectOptions{Network: r.network})
	if err != nil {
		return 0, launch.ErrEngine
	}
	exit, err := p.Try(context.Background(), o)
	return exit.Status(), err
}

// findEngine looks beside this program, where a build leaves it, and in the libexec folder of an
// installation.
func findEngine() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find sandbox-engine: %w", err)
	}
	dir := filepath.Dir(exe)
	for _, p := range []string{dir + "/sandbox-engine", filepath.Dir(dir) + "/libexec/sandbox/sandbox-engine"} {
		var st syscall.Stat_t
		if syscall.Stat(p, &st) == nil {
			return p, nil
		}
	}
	return "", hint.With(errors.New("sandbox-engine is missing: expected beside "+exe), "install both: make install")
}

func say(err error) {
	fmt.Fprintf(os.Stderr, "error: %v\n", err)
	for i, h := range hint.Of(err) {
		if i == 0 {
			fmt.Fprintln(os.Stderr)
		}
		fmt.Fprintf(os.Stderr, "hint: %s\n", h)
	}
}

func environMap(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			m[k] = v
		}
	}
	return m
}
