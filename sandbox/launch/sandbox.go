package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// Launch makes the sandbox, plans, starts and waits.
func (p *Project) Launch(ctx context.Context, c *Compiled, o RunOptions, workdir string) (start.Exit, error) {
	in, err := p.instance(c, o)
	if err != nil {
		return start.Exit{}, err
	}
	keep := !in.Spare && (o.Name != "" || o.Shell)
	state := StateOf(&c.Env, p.Dir)
	state.Shell = o.Name == ""
	if keep { // before the start: a shell that is cut off can be resumed
		if err := in.SetState(state); err != nil {
			in.Close()
			return start.Exit{}, err
		}
	}
	if !keep {
		o.ended = in.clear
	}
	exit, err := p.runIn(ctx, c, o, workdir, in, keep, &state)
	if !keep {
		if rerr := in.Remove(); rerr != nil {
			p.l.Log.Debug("sandbox not removed", "dir", in.Dir, "err", rerr)
		}
		return exit, err
	}
	state.Ended = time.Now().UTC()
	if serr := in.SetState(state); err == nil && serr != nil {
		err = &EndError{serr}
	}
	in.Close()
	return exit, err
}

func (p *Project) runIn(ctx context.Context, c *Compiled, o RunOptions, workdir string, in *Instance, keep bool, state *State) (start.Exit, error) {
	inputs, err := p.Inputs(c, o, workdir, in, keep)
	if err != nil {
		return start.Exit{}, err
	}
	choice, err := p.l.WithGPU(ctx, p.GPUWant(c, o), &inputs)
	if err != nil {
		return start.Exit{}, err
	}
	defer choice.Release()
	if state.GPU = choice.Record; keep && state.GPU != nil {
		if err := in.SetState(*state); err != nil {
			return start.Exit{}, err
		}
	}
	s, err := p.l.Plan(ctx, inputs, c.Stores)
	if err != nil {
		return start.Exit{}, err
	}
	o.Limits = c.Limits
	return p.l.Start(ctx, s, o)
}

// Inputs gathers the facts of this start.
func (p *Project) Inputs(c *Compiled, o RunOptions, workdir string, in *Instance, keep bool) (plan.Inputs, error) {
	host := p.l.Host()
	host.AptList, host.AptKeyring = c.AptList, c.AptKeyring
	host.Terminal = o.Shell
	pr, err := p.mounted(c, o.Dir)
	if err != nil {
		return plan.Inputs{}, err
	}
	extra := plan.Extra{Env: o.Env, Mounts: o.Mounts, Bind: map[string]string{}, Caches: map[string]string{}}
	for k, v := range c.Bind {
		extra.Bind[k] = v
	}
	for k, v := range p.Options.Bind {
		extra.Bind[k] = v
	}
	if err := p.caches(c, in, extra.Caches); err != nil {
		return plan.Inputs{}, err
	}
	cache, err := p.homeCache(in)
	if err != nil {
		return plan.Inputs{}, err
	}
	return plan.Inputs{
		Env: c.Env, Host: host, Project: pr, Args: o.Args, Workdir: workdir, Extra: extra,
		Sandbox: plan.Sandbox{
			Name: o.Name, Upper: filepath.Join(in.Dir, "upper"), Work: filepath.Join(in.Dir, "work"),
			Tmp: filepath.Join(in.Dir, "tmp"), Volatile: !keep, Cache: cache,
		},
	}, nil
}

// mounted is the project folder as the plan wants it.
func (p *Project) mounted(c *Compiled, cwd string) (*plan.Project, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(c.Root, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: c.Root, Err: err}
	}
	pr := &plan.Project{Dir: c.Root, Rel: ".", OwnerUID: int(st.Uid), OwnerGID: int(st.Gid), Stranger: p.Options.Stranger, Store: Below(c.Root, p.l.StoreDir)}
	if cwd != "" {
		if real, err := filepath.EvalSymlinks(cwd); err == nil {
			if rel := Below(c.Root, real); rel != "" {
				pr.Rel = rel
			}
		}
	} else if rel := Below(c.Root, p.Dir); rel != "" {
		pr.Rel = rel // a task runs where its env file is
	}
	return pr, nil
}

// ShellName names the last shell's sandbox of a project folder.
func (p *Project) ShellName() string {
	return "shell-" + Hash(p.Dir)[:12]
}

// instance is the sandbox of one run: a new one, the named one, or the project's shell.
func (p *Project) instance(c *Compiled, o RunOptions) (*Instance, error) {
	switch {
	case o.Name != "":
		in, err := p.l.Open(o.Name)
		if err != nil {
			return nil, err
		}
		if err := SameEnvironment(in, &c.Env, "this project's"); err != nil {
			in.Close()
			return nil, err
		}
		return in, nil
	case o.Shell:
		in, err := p.l.Open(p.ShellName())
		if !errors.Is(err, ErrReadOnly) {
			return in, err
		} // a shell that is not kept is better than none
	}
	return p.l.New()
}

// SameEnvironment refuses a writable layer on other lowers than it was made on: overlayfs leaves
// that undefined. whose is "this project's" or "this image's".
func SameEnvironment(in *Instance, e *plan.Env, whose string) error {
	s, err := in.State()
	if err != nil || s == nil {
		return err
	}
	if s.Env != e.Digest {
		on, back := "environment", "go back to the lock it was made with"
		if s.Project == "" {
			on, back = "image", "go on with sandbox run --name "+in.Name+" --image and a name of that image"
		}
		return hint.With(fmt.Errorf("sandbox %s was made on %s %s, and %s is now %s", in.Name, on, s.Env, whose, e.Digest), "sandbox rm "+in.Name+", or "+back)
	}
	if s.UID != e.User.UID || s.GID != e.User.GID {
		return hint.With(fmt.Errorf("sandbox %s belongs to user %d inside, not %d", in.Name, s.UID, e.User.UID), "sandbox rm "+in.Name)
	}
	return nil
}
