package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"

	"github.com/4cc2e759/sandbox/sandbox"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// app is one call of the tool: its streams, its global flags, and the Manager made when first asked
// for.
type app struct {
	in, out, err *os.File
	environ      map[string]string
	quiet        bool
	verbose      bool
	stop         func() // gives signals back to the kernel's default

	offline   bool
	allowHTTP bool
	manager   *sandbox.Manager
	bars      *bars
	told      sync.Map // notices that were given
	code      int      // what the program inside ended with
	isRun     bool
	wrongHelp error // help was asked for about a command that does not exist
}

// open makes the Manager.
func (a *app) open() (*sandbox.Manager, error) {
	if a.manager != nil {
		return a.manager, nil
	}
	log := slog.New(slog.DiscardHandler)
	if a.verbose {
		log = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	a.bars = newBars(a.err, a.quiet)
	m, err := sandbox.Open(sandbox.Options{
		Version: version, BuildID: buildID(), Environ: a.environ,
		Offline: a.offline, AllowHTTP: a.allowHTTP, Log: log,
		Report: a.bars.report, Notice: a.notice,
	})
	a.manager = m
	return m, err
}

// notice says one line that the user should know, but that is no error and no data.
func (a *app) notice(s string) {
	if _, told := a.told.LoadOrStore(s, true); told || a.quiet {
		return
	}
	a.bars.say(s)
}

func (a *app) finish() {
	if a.bars != nil {
		a.bars.close()
	}
}

// close leaves nothing in the store that only this process needed.
func (a *app) close() {
	if a.manager != nil {
		_ = a.manager.Close() // a lease that stays is a dead process's, which the next collection removes
	}
}

// project is the one of the folder given by -C, or of the working folder.
func (a *app) project(dir string, o sandbox.ProjectOptions) (*sandbox.Project, error) {
	m, err := a.open()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		dir = "."
	}
	return m.Project(dir, o)
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

// buildID names this build of the engine: a plan kept by another build is never used. The front
// computes the same.
func buildID() string {
	exe, err := os.Executable()
	if err != nil {
		return version
	}
	return launch.BuildID(version, exe)
}

// goVersion is what the tool was built with.
func goVersion() string {
	if bi, ok := debug.ReadBuildInfo(); ok {
		return bi.GoVersion
	}
	return "unknown"
}

// ask puts a question on the terminal; without one the answer is no.
func (a *app) ask(question string) (bool, error) {
	if !isTerminal(a.in) {
		return false, nil
	}
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	var answer string
	if _, err := fmt.Fscanln(a.in, &answer); err != nil && !errors.Is(err, io.EOF) && err.Error() != "unexpected newline" {
		return false, err
	}
	return answer == "y" || answer == "Y" || answer == "yes", nil
}

var _ = context.Canceled
