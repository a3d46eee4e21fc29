package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// Shell runs an interactive shell. Its writable layer is kept as the project's last one; resume
// goes on with it.
func (p *Project) Shell(ctx context.Context, resume bool, o RunOptions) (start.Exit, error) {
	o.Shell = true
	c, err := p.readyFor(ctx, o)
	if err != nil {
		return start.Exit{}, err
	}
	if o.Name == "" {
		if resume {
			if err := p.resumable(c); err != nil {
				return start.Exit{}, err
			}
		} else if err := p.forgetShell(); err != nil {
			return start.Exit{}, err
		}
	}
	if len(o.Args) == 0 {
		o.Args = shellArgs(c)
	}
	o.Command = true
	exit, err := p.runOr(ctx, c, o)
	if err == nil && o.Name == "" {
		p.m.sayKept(p.l.ShellName(), true)
	} else if err == nil {
		p.m.sayKept(o.Name, false)
	}
	return exit, err
}

// shellArgs prefers bash: the user's entry in passwd often says sh where bash is there.
func shellArgs(c *launch.Compiled) []string {
	for _, l := range c.Env.Lowers {
		for _, b := range []string{"usr/bin/bash", "bin/bash"} {
			if st, err := os.Lstat(filepath.Join(l.Path, b)); err == nil && st.Mode().IsRegular() {
				return []string{"bash"}
			}
		}
	}
	if c.Env.User.Shell != "" {
		return []string{c.Env.User.Shell}
	}
	return []string{"/bin/sh"}
}

// resumable checks that there is a last shell and that it stands on this environment.
func (p *Project) resumable(c *launch.Compiled) error {
	in := &launch.Instance{Dir: filepath.Join(p.m.l.Sandboxes(), p.l.ShellName()), Name: p.l.ShellName()}
	s, err := in.State()
	if err != nil {
		return err
	}
	if s == nil {
		return hint.With(fmt.Errorf("no shell of this project to resume"), "sandbox shell starts one; its changes are kept for a week")
	}
	return launch.SameEnvironment(in, &c.Env, "this project's")
}

// forgetShell removes the project's last shell, so that a new one starts clean. One that is still
// running stays, and the new one is refused by its lock.
func (p *Project) forgetShell() error {
	dir := filepath.Join(p.m.l.Sandboxes(), p.l.ShellName())
	if _, err := os.Lstat(dir); err != nil {
		return nil
	}
	in, err := p.m.l.Open(p.l.ShellName())
	if err != nil {
		return err
	}
	return in.Remove()
}
