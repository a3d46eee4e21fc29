package sandbox

import (
	"context"
	"errors"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// RunOptions is one run.
type RunOptions = launch.RunOptions

// GPUOptions is what the command line says about GPUs and other devices.
type GPUOptions = launch.GPUOptions

// NoCommandError says that a word is neither a task nor a command of the environment.
type NoCommandError = launch.NoCommandError

// ErrConsent says that a project asks for things of the machine that its user has not agreed to.
var ErrConsent = launch.ErrConsent

// Run runs a task or a command in the project's environment and gives how it ended. An error means
// that it did not run, or that the sandbox failed; the program's own failure is in the exit.
func (p *Project) Run(ctx context.Context, o RunOptions) (start.Exit, error) {
	if o.Name != "" {
		if err := CheckName(o.Name); err != nil {
			return start.Exit{}, err
		}
	}
	c, err := p.readyFor(ctx, o)
	if err != nil {
		return start.Exit{}, err
	}
	return p.runOr(ctx, c, o)
}

// runOr runs in a compiled project; if a layer that was there when the plan was kept is not there
// now, it is compiled again first.
func (p *Project) runOr(ctx context.Context, c *launch.Compiled, o RunOptions) (start.Exit, error) {
	exit, err := p.l.Run(ctx, c, o)
	var gone *launch.MissingLayer
	if !errors.As(err, &gone) {
		return exit, err
	}
	if c, err = p.compile(ctx); err != nil {
		return exit, err
	}
	return p.l.Run(ctx, c, o)
}

// readyFor is ready for a run: what cannot work here is refused before anything is fetched.
func (p *Project) readyFor(ctx context.Context, o RunOptions) (*launch.Compiled, error) {
	if c := p.l.Cached(); c != nil {
		return c, nil // nothing to fetch; the start itself checks against what is here today
	}
	if err := p.early(o); err != nil {
		return nil, err
	}
	if err := p.preflight(ctx, o); err != nil {
		return nil, err
	}
	return p.compile(ctx)
}

// early refuses what this machine cannot run at all: of another kind, or too small for what is to run.
func (p *Project) early(o RunOptions) error {
	if err := p.here(); err != nil {
		return err
	}
	f, err := p.File()
	if err != nil {
		return err
	}
	var t envfile.Task
	name, isTask := "", false
	if len(o.Args) > 0 && !o.Command && !o.Shell {
		name = o.Args[0]
		t, isTask = f.Tasks[name]
	}
	return p.m.l.Enough(launch.TaskNeeds(t, isTask, name, f.Needs))
}

// ready gives the compiled project: from the cache, else by locking where there is no lock, checking
// the lock, building what is missing, and compiling.
func (p *Project) ready(ctx context.Context) (*launch.Compiled, error) {
	if c := p.l.Cached(); c != nil {
		return c, nil
	}
	return p.compile(ctx)
}
