package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/near"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// RunOptions is one run.
type RunOptions struct {
	Args    []string // a task's name and its arguments, or a command
	Command bool     // "--": a command, also where a task has its name
	Name    string   // keep the sandbox under this name
	Env     map[string]string
	Mounts  map[string]envfile.Mount // --mount PATH:TO
	Dir     string                   // the caller's working folder
	Stdin   *os.File
	Stdout  *os.File
	Stderr  *os.File

	shell bool
}

// Run runs a task or a command in the project's environment and gives how it ended. An error means
// that it did not run, or that the sandbox failed; the program's own failure is in the exit.
func (p *Project) Run(ctx context.Context, o RunOptions) (start.Exit, error) {
	if o.Name != "" {
		if err := CheckName(o.Name); err != nil {
			return start.Exit{}, err
		}
	}
	c, err := p.ready(ctx)
	if err != nil {
		return start.Exit{}, err
	}
	exit, err := p.runTasks(ctx, c, o)
	if gone(err) { // a layer that was there when the plan was kept is not there now
		if c, err = p.compile(ctx); err != nil {
			return exit, err
		}
		return p.runTasks(ctx, c, o)
	}
	return exit, err
}

// gone tells whether a start failed because a layer of a kept plan was removed.
func gone(err error) bool {
	var e *missingLayer
	return errors.As(err, &e)
}

type missingLayer struct{ path string }

func (e *missingLayer) Error() string { return "layer is gone: " + e.path }

// runTasks runs what the task depends on, then the task.
func (p *Project) runTasks(ctx context.Context, c *compiled, o RunOptions) (start.Exit, error) {
	if err := p.consent(c); err != nil {
		return start.Exit{}, err
	}
	if len(o.Args) == 0 && !o.shell {
		return start.Exit{}, hint.With(errors.New("no task or command given"), taskHint(c))
	}
	if err := p.projectSteps(ctx, c, o); err != nil {
		return start.Exit{}, err
	}
	if !o.Command && !o.shell {
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
	exit, err := p.runCommand(ctx, c, o)
	return exit, p.mistyped(c, o, err)
}

// mistyped turns "not found" of a word that is like a task's name into advice.
func (p *Project) mistyped(c *compiled, o RunOptions, err error) error {
	var e *start.Error
	if !errors.As(err, &e) || e.Status() != 127 || len(o.Args) == 0 || o.shell {
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

func taskNames(c *compiled) []string {
	names := make([]string, 0, len(c.Tasks))
	for n := range c.Tasks {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func taskHint(c *compiled) string {
	if names := taskNames(c); len(names) > 0 {
		return "tasks: " + strings.Join(names, ", ")
	}
	return "sandbox run COMMAND ARGS…, or sandbox shell"
}

// runOne runs a task with its own settings laid over the environment's.
func (p *Project) runOne(ctx context.Context, c *compiled, t taskPlan, name string, args []string, o RunOptions) (start.Exit, error) {
	tc := *c
	tc.Env = withTask(c.Env, t)
	o.Args = t.Task.Run.Argv(name, args)
	if t.Task.Workdir != "" {
		o.Dir = ""
	}
	return p.launch(ctx, &tc, o, t.Task.Workdir)
}

func (p *Project) runCommand(ctx context.Context, c *compiled, o RunOptions) (start.Exit, error) {
	return p.launch(ctx, c, o, "")
}

// withTask lays a task's env, mounts, network and user over an environment's.
func withTask(e plan.Env, t taskPlan) plan.Env {
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
		m := map[string]envfile.Mount{}
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
func dependencies(c *compiled, name string) ([]string, error) {
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

// launch makes the sandbox, plans, starts and waits.
func (p *Project) launch(ctx context.Context, c *compiled, o RunOptions, workdir string) (start.Exit, error) {
	in, err := p.instance(c, o)
	if err != nil {
		return start.Exit{}, err
	}
	keep := o.Name != "" || o.shell
	if keep { // before the start: a shell that is cut off can be resumed
		s := stateOf(&c.Env, p.Dir)
		s.Shell = o.Name == ""
		if err := in.setState(s); err != nil {
			in.Close()
			return start.Exit{}, err
		}
	}
	exit, err := p.runIn(ctx, c, o, workdir, in, keep)
	if !keep {
		if rerr := in.Remove(); rerr != nil {
			p.m.o.Log.Debug("sandbox not removed", "dir", in.Dir, "err", rerr)
		}
		return exit, err
	}
	s := stateOf(&c.Env, p.Dir)
	s.Shell = o.Name == ""
	if serr := in.setState(s); err == nil {
		err = serr
	}
	in.Close()
	return exit, err
}

func (p *Project) runIn(ctx context.Context, c *compiled, o RunOptions, workdir string, in *instance, keep bool) (start.Exit, error) {
	inputs, err := p.inputs(c, o, workdir, in, keep)
	if err != nil {
		return start.Exit{}, err
	}
	s, err := p.m.planWithStubs(ctx, inputs)
	if err != nil {
		return start.Exit{}, err
	}
	return p.m.start(ctx, s, o)
}

// start executes a spec and waits. A lower that is missing is told apart, so that a kept plan can be
// made again.
func (m *Manager) start(ctx context.Context, s *spec.Spec, o RunOptions) (start.Exit, error) {
	release, err := m.use(s)
	if err != nil {
		return start.Exit{}, err
	}
	defer release()
	// From here on signals are the program's: it decides what an interrupt means.
	pr, err := start.Start(context.WithoutCancel(ctx), s, start.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Forward: true, Log: m.o.Log})
	if err != nil {
		var e *start.Error
		if errors.As(err, &e) && errors.Is(err, syscall.ENOENT) {
			for _, l := range s.Root.Lowers {
				if e.Path == l.Path {
					return start.Exit{}, &missingLayer{l.Path}
				}
			}
		}
		return start.Exit{}, err
	}
	return pr.Wait()
}

// use marks the layers of a start as used until release, so that gc leaves them alone. The mark comes
// before the first look: a layer that is gone by then is made anew.
func (m *Manager) use(s *spec.Spec) (release func(), err error) {
	st, err := m.built()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(s.Root.Lowers))
	for i, l := range s.Root.Lowers {
		names[i] = filepath.Base(filepath.Dir(l.Path))
	}
	if release, err = st.Use(names...); errors.Is(err, store.ErrNotFound) {
		return nil, &missingLayer{err.Error()}
	}
	return release, err
}

// inputs gathers the facts of this start.
func (p *Project) inputs(c *compiled, o RunOptions, workdir string, in *instance, keep bool) (plan.Inputs, error) {
	host := p.m.host()
	host.AptList, host.AptKeyring = c.AptList, c.AptKeyring
	host.Terminal = o.shell
	pr, err := p.mounted(c, o.Dir)
	if err != nil {
		return plan.Inputs{}, err
	}
	extra := plan.Extra{Env: o.Env, Mounts: o.Mounts, Bind: map[string]string{}, Caches: map[string]string{}}
	for k, v := range c.Bind {
		extra.Bind[k] = v
	}
	for k, v := range p.o.Bind {
		extra.Bind[k] = v
	}
	if err := p.caches(c, extra.Caches); err != nil {
		return plan.Inputs{}, err
	}
	cache, err := p.homeCache()
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
func (p *Project) mounted(c *compiled, cwd string) (*plan.Project, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(c.Root, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: c.Root, Err: err}
	}
	pr := &plan.Project{Dir: c.Root, Rel: ".", OwnerUID: int(st.Uid), OwnerGID: int(st.Gid), Stranger: p.o.Stranger, Store: storeBelow(c.Root, p.m.StoreDir())}
	if cwd != "" {
		if real, err := filepath.EvalSymlinks(cwd); err == nil {
			if rel := storeBelow(c.Root, real); rel != "" {
				pr.Rel = rel
			}
		}
	} else if rel := storeBelow(c.Root, p.Dir); rel != "" {
		pr.Rel = rel // a task runs where its env file is
	}
	return pr, nil
}
