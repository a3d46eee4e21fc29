package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// Shell runs an interactive shell. Its writable layer is kept as the project's last one; resume
// goes on with it.
func (p *Project) Shell(ctx context.Context, resume bool, o RunOptions) (start.Exit, error) {
	c, err := p.ready(ctx)
	if err != nil {
		return start.Exit{}, err
	}
	o.shell = true
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
	exit, err := p.runTasks(ctx, c, o)
	if gone(err) {
		if c, err = p.compile(ctx); err == nil {
			exit, err = p.runTasks(ctx, c, o)
		}
	}
	if err == nil {
		p.sayKept(o.Name)
	}
	return exit, err
}

// sayKept tells at the end of a shell that what was changed outside of the project is still there.
func (p *Project) sayKept(name string) {
	dir := name
	if dir == "" {
		dir = p.shellName()
	}
	changed, err := os.ReadDir(filepath.Join(p.m.sandboxes(), dir, "upper"))
	if err != nil || len(changed) == 0 {
		return
	}
	if name != "" {
		p.m.notice("changes outside of the project are kept: sandbox shell --name %s; sandbox rm %s removes them", name, name)
		return
	}
	p.m.notice("changes outside of the project are kept for a week: sandbox shell --resume")
}

// shellArgs prefers bash: the user's entry in passwd often says sh where bash is there.
func shellArgs(c *compiled) []string {
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

// shellName names the last shell's sandbox of a project folder.
func (p *Project) shellName() string {
	sum := sha256.Sum256([]byte(p.Dir))
	return "shell-" + hex.EncodeToString(sum[:6])
}

// instance is the sandbox of one run: a new one, the named one, or the project's shell.
func (p *Project) instance(c *compiled, o RunOptions) (*instance, error) {
	switch {
	case o.Name != "":
		in, err := p.m.openInstance(o.Name)
		if err != nil {
			return nil, err
		}
		if err := sameEnvironment(in, c); err != nil {
			in.Close()
			return nil, err
		}
		return in, nil
	case o.shell:
		return p.m.openInstance(p.shellName())
	}
	return p.m.newInstance()
}

// sameEnvironment refuses a writable layer on other lowers than it was made on: overlayfs leaves
// that undefined.
func sameEnvironment(in *instance, c *compiled) error {
	s, err := in.state()
	if err != nil || s == nil {
		return err
	}
	if s.Env != c.Env.Digest {
		return hint.With(fmt.Errorf("sandbox %s was made on environment %s, and this project's is now %s", in.Name, s.Env, c.Env.Digest),
			"sandbox rm "+in.Name+", or go back to the lock it was made with")
	}
	if s.UID != c.Env.User.UID || s.GID != c.Env.User.GID {
		return hint.With(fmt.Errorf("sandbox %s belongs to user %d inside, not %d", in.Name, s.UID, c.Env.User.UID), "sandbox rm "+in.Name)
	}
	return nil
}

// resumable checks that there is a last shell and that it stands on this environment.
func (p *Project) resumable(c *compiled) error {
	in := &instance{Dir: filepath.Join(p.m.sandboxes(), p.shellName()), Name: p.shellName()}
	s, err := in.state()
	if err != nil {
		return err
	}
	if s == nil {
		return hint.With(fmt.Errorf("no shell of this project to resume"), "sandbox shell starts one; its changes are kept for a week")
	}
	return sameEnvironment(in, c)
}

// forgetShell removes the project's last shell, so that a new one starts clean. One that is still
// running stays, and the new one is refused by its lock.
func (p *Project) forgetShell() error {
	dir := filepath.Join(p.m.sandboxes(), p.shellName())
	if _, err := os.Lstat(dir); err != nil {
		return nil
	}
	in, err := p.m.openInstance(p.shellName())
	if err != nil {
		return err
	}
	return in.Remove()
}
