package launch

import (
	"context"
	"errors"
	"fmt"

	"github.com/4cc2e759/sandbox/sandbox/start"
)

// EndError is a failure after a program was started: what was run must not be run again.
type EndError struct{ err error }

func (e *EndError) Error() string { return e.err.Error() }

// Unwrap gives the failure itself.
func (e *EndError) Unwrap() error { return e.err }

// Try runs in an environment that is ready. The error is ErrEngine for everything that went wrong
// before a program was started, so that whoever can make what is missing, and explain the rest, does
// it from the beginning; otherwise it is an *EndError.
func (p *Project) Try(ctx context.Context, o RunOptions) (start.Exit, error) {
	if o.Name != "" && !ValidName(o.Name) {
		return start.Exit{}, ErrEngine
	}
	c := p.Cached()
	if c == nil || len(o.Args) == 0 || len(c.Steps) > 0 {
		return start.Exit{}, ErrEngine
	}
	// What a task depends on runs first; if the task itself then failed to start, that would run twice.
	if t, ok := c.Tasks[o.Args[0]]; ok && !o.Command && len(t.Task.Depends) > 0 {
		return start.Exit{}, ErrEngine
	}
	exit, err := p.Run(ctx, c, o)
	var end *EndError
	if err == nil || errors.As(err, &end) {
		return exit, err
	}
	return start.Exit{}, fmt.Errorf("%w: %w", ErrEngine, err)
}
