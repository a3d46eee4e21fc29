package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/4cc2e759/sandbox/envfile/terms"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/near"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// RunOptions is one run.
type RunOptions struct {
	Args    []string // a task's name and its arguments, or a command
	Command bool     // "--": a command, also where a task has its name
	Name    string   // keep the sandbox under this name
	Env     map[string]string
	Mounts  map[string]terms.Mount // --mount PATH:TO
	Dir     string                 // the caller's working folder
	Stdin   *os.File
	Stdout  *os.File
	Stderr  *os.File

	GPU    GPUOptions
	Limits terms.Limits // a project's come from its env file
	Shell  bool         // an interactive shell: kept as the project's last one

	ended func() // if set, is called when the program has ended, while the kernel takes the sandbox apart
}

// Run runs a task, after what it depends on, or a command, and gives how it ended. An error means that
// it did not run, or that the sandbox failed; the program's own failure is in the exit.
func (p *Project) Run(ctx context.Context, c *Compiled, o RunOptions) (start.Exit, error) {
	if err := p.undeclared(c); err != nil {
		return start.Exit{}, err
	}
	if err := p.consent(c); err != nil {
		return start.Exit{}, err
	}
	if len(o.Args) == 0 && !o.Shell {
		return start.Exit{}, hint.With(errors.New("no task or command given"), taskHint(c))
	}
	if len(c.Steps) > 0 {
		if p.Steps == nil {
			return start.Exit{}, ErrEngine
		}
		if err := p.Steps(ctx, c, o); err != nil {
			return start.Exit{}, err
		}
	}
	if !o.Command && !o.Shell {
		if t, ok := c.Tasks[o.Args[0]]; ok {
			order, err := dependencies(c, o.Args[0])
			if err != nil {
				return start.Exit{}, err
			}
			for _, name := range order[:len(order)-1] {
				d := o
				d.Name = ""
				exit, err := p.runOne(ctx, c, c.Tasks[name], name, nil, d)
				if err != nil || exit.Status() != 0 {
					return exit, err
				}
			}
			return p.runOne(ctx, c, t, o.Args[0], o.Args[1:], o)
		}
	}
	if err := p.l.Enough(c.Needs, "needs"); err != nil {
		return start.Exit{}, err
	}
	exit, err := p.Launch(ctx, c, o, "")
	return exit, p.mistyped(c, o, err)
}

// mistyped turns "not found" of a word that is like a task's name into advice.
func (p *Project) mistyped(c *Compiled, o RunOptions, err error) error {
	var e *start.Error
	if !errors.As(err, &e) || e.Status() != 127 || len(o.Args) == 0 || o.Shell {
		return err
	}
	if strings.Contains(o.Args[0], "/") {
		return err
	}
	err = &NoCommandError{Name: o.Args[0], err: err}
	if name := near.Word(o.Args[0], taskNames(c)); name != "" {
		return hint.With(err, "sandbox run "+name)
	}
	if len(c.Tasks) > 0 {
		return hint.With(err, taskHint(c))
	}
	return err
}

// NoCommandError says that a word is neither a task nor a command of the environment.
type NoCommandError struct {
	Name string
	err  error
}

func (e *NoCommandError) Error() string { return "no task or command " + e.Name }

// Unwrap gives the start's own error.
func (e *NoCommandError) Unwrap() error { return e.err }

func taskNames(c *Compiled) []string {
	names := make([]string, 0, len(c.Tasks))
	for n := range c.Tasks {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func taskHint(c *Compiled) string {
	if names := taskNames(c); len(names) > 0 {
		return "tasks: " + strings.Join(names, ", ")
	}
	return "sandbox run COMMAND ARGS…, or sandbox shell"
}

// runOne runs a task with its own settings laid over the environment's.
func (p *Project) runOne(ctx context.Context, c *Compiled, t Task, name string, args []string, o RunOptions) (start.Exit, error) {
	tc := *c
	tc.Env = WithTask(c.Env, t)
	if t.Task.GPU != nil {
		tc.GPU = *t.Task.GPU
	}
	if t.Task.Limits != nil {
		tc.Limits = *t.Task.Limits
	}
	if err := p.l.Enough(TaskNeeds(t.Task, true, name, c.Needs)); err != nil {
		return start.Exit{}, err
	}
	o.Args = t.Task.Run.Argv(name, args)
	if t.Task.Workdir != "" {
		o.Dir = ""
	}
	return p.Launch(ctx, &tc, o, t.Task.Workdir)
}

// WithTask lays a task's env, mounts, network and user over an environment's.
func WithTask(e plan.Env, t Task) plan.Env {
	if t.Task.Env != nil {
		set := map[string]string{}
		for k, v := range e.Set {
			set[k] = v
		}
		for k, v := range t.Task.Env.Set {
			set[k] = v
		}
		e.Set = set
		e.Pass = append(e.Pass[:len(e.Pass):len(e.Pass)], t.Task.Env.Pass...)
	}
	if len(t.Task.Mounts) > 0 {
		m := map[string]terms.Mount{}
		for k, v := range e.Mounts {
			m[k] = v
		}
		for k, v := range t.Task.Mounts {
			m[k] = v
		}
		e.Mounts = m
	}
	if n := t.Task.Network; n != nil && n.Mode != "" {
		e.Network = n.Mode
	}
	if l := t.Task.Limits; l != nil && l.Shm > 0 {
		e.Shm = int64(l.Shm)
	}
	if t.User != nil {
		e.User = *t.User
	}
	return e
}

// dependencies orders what name depends on before it; envfile has refused circles.
func dependencies(c *Compiled, name string) ([]string, error) {
	var order []string
	seen := map[string]int{}
	var visit func(string) error
	visit = func(n string) error {
		switch seen[n] {
		case 1:
			return fmt.Errorf("task %s depends on itself", n)
		case 2:
			return nil
		}
		t, ok := c.Tasks[n]
		if !ok {
			return fmt.Errorf("task %s depends on %s, which is not a task", name, n)
		}
		seen[n] = 1
		for _, d := range t.Task.Depends {
			if err := visit(d); err != nil {
				return err
			}
		}
		seen[n] = 2
		order = append(order, n)
		return nil
	}
	return order, visit(name)
}
