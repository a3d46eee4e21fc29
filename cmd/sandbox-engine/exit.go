package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/near"
	"github.com/4cc2e759/sandbox/internal/printable"
	"github.com/4cc2e759/sandbox/sandbox"
	"github.com/4cc2e759/sandbox/sandbox/check"
	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// Exit codes of our own. `run` and `shell` give the program's code instead, and failRun where it
// could not be run.
const (
	codeOK     = 0
	codeFail   = 1
	codeUsage  = 2
	codeStale  = 3
	codeHost   = 4
	failRun    = 125
	cannotExec = 126
	notFound   = 127
)

// usageError is a mistake on the command line.
type usageError struct {
	err  error
	help string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
func (e *usageError) Hint() string  { return e.help }

func usage(cmd *cobra.Command, err error) error {
	return &usageError{err, cmd.CommandPath() + " --help"}
}

func unknownCommand(root *cobra.Command, name string) error {
	names := namesBelow(root)
	err := fmt.Errorf("no command %s", name)
	if word := near.Word(name, names); word != "" {
		return &usageError{err, "sandbox " + word}
	}
	return &usageError{err, "sandbox run " + name + " runs a command in the environment; sandbox --help lists ours"}
}

// unknownBelow is a word that is none of a command's own commands.
func unknownBelow(cmd *cobra.Command, name string) error {
	names := namesBelow(cmd)
	err := fmt.Errorf("no command %s %s", cmd.Name(), name)
	if word := near.Word(name, names); word != "" {
		return &usageError{err, cmd.CommandPath() + " " + word}
	}
	return &usageError{err, cmd.CommandPath() + " takes " + strings.Join(names, ", ")}
}

func namesBelow(cmd *cobra.Command) (names []string) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

// silent ends with a code and prints nothing: all was said.
type silent struct{ code int }

func (e *silent) Error() string { return fmt.Sprintf("exit %d", e.code) }

// exit prints an error and gives the exit code.
func (a *app) exit(ctx context.Context, err error) int {
	if err == nil {
		return a.code
	}
	var s *silent
	if errors.As(err, &s) {
		return s.code
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(a.err, "error: interrupted")
		return 130
	}
	var se *start.Error
	if errors.As(err, &se) && se.Op != start.OpExec {
		err = check.Explain(err)
	}
	if a.manager != nil {
		err = a.manager.Explain(err)
	}
	a.printError(err)
	return a.codeOf(err)
}

// maxLine bounds a line of a message, in bytes: what strangers wrote may be in it.
const maxLine = 4096

// printError prints each problem as it stands, then the hints. Nothing in them tells the terminal what to do.
func (a *app) printError(err error) {
	text := strings.TrimRight(err.Error(), "\n")
	fmt.Fprintf(a.err, "error: %s\n", printable.Text(text, maxLine))
	if hints := hint.Of(err); len(hints) > 0 {
		fmt.Fprintln(a.err)
		for _, h := range hints {
			fmt.Fprintf(a.err, "hint: %s\n", printable.Text(h, maxLine))
		}
	}
}

// codeOf is the one place where errors become exit codes.
func (a *app) codeOf(err error) int {
	var (
		se    *start.Error
		ue    *usageError
		stale *envfile.StaleError
		host  *check.HostError
		none  *sandbox.NoCommandError
		needs *launch.NeedsError
		plat  *sandbox.PlatformError
		over  *launch.TimeError
	)
	switch {
	case errors.As(err, &ue), sandbox.IsGPUSyntax(err):
		if a.isRun {
			return failRun
		}
		return codeUsage
	case errors.As(err, &none):
		return notFound
	case errors.As(err, &se) && se.Status() == notFound:
		return notFound
	case errors.As(err, &se) && se.Status() == cannotExec:
		return cannotExec
	case errors.As(err, &over):
		return over.Status()
	case a.isRun:
		return failRun
	case errors.As(err, &stale):
		return codeStale
	case errors.As(err, &host), errors.As(err, &needs), errors.As(err, &plat), sandbox.IsGPUError(err):
		return codeHost
	}
	return codeFail
}

const exitStatus = `
EXIT STATUS
  0  done    1  failed    2  mistake on the command line
  3  the lock is older than the env file    4  this host cannot do it
  130  interrupted`

const exitStatusAll = exitStatus + `
  run and shell: the program's own, 124 to 127 where it was ended or could not be run (run --help)`

const exitStatusRun = `
EXIT STATUS
  the program's own; 128+n if signal n ended it
  124  it was ended since its time ([limits] time) was over
  125  it could not be run (the message says why)    126  cannot execute    127  not found`
