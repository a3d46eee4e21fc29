package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/smallfile"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// compile is the slow way to a compiled project: parse, lock, check, build.
func (p *Project) compile(ctx context.Context) (*launch.Compiled, error) {
	f, err := p.File()
	if err != nil {
		return nil, err
	}
	lock, section, err := p.locked(ctx)
	if err != nil {
		return nil, err
	}
	st, err := p.m.Store()
	if err != nil {
		return nil, err
	}
	p.m.l.Sweep()
	b, err := p.m.builder(p)
	if err != nil {
		return nil, err
	}
	env, err := b.Build(ctx, lock, section)
	if err != nil {
		return nil, err
	}
	p.m.o.Log.Info("environment is there", "digest", env.Digest, "how", p.m.cameBy(env))
	c, err := p.compiled(f, env)
	if err != nil {
		return nil, err
	}
	if c.Env.Fetches, err = b.Fetches(ctx, lock.Sections[section]); err != nil {
		return nil, err
	}
	if c.GPUNeed, err = keepNeed(lockedNeed(lock.Sections[section], env.Image.Env)); err != nil {
		return nil, err
	}
	if env.AptSources {
		p.aptSources(ctx, c, b, lock.Sections[section], env)
	}
	if err := p.m.registerRoot(st, p.Dir, env); isReadOnly(err) {
		p.m.o.Log.Debug("use not recorded", "err", err) // whoever owns the store knows what is in use
	} else if err != nil {
		return nil, err
	}
	p.l.Keep(c)
	return c, nil
}

// cameBy says who made an environment's layers, for the log: of many processes that want one, one builds
// and the others wait.
func (m *Manager) cameBy(env *build.Env) string {
	switch {
	case slices.ContainsFunc(env.Layers, func(l build.Layer) bool { return l.Built }):
		return "built"
	case m.waited.Load():
		return "waited"
	}
	return "found"
}

// compiled joins the env file and the built environment.
func (p *Project) compiled(f *envfile.File, env *build.Env) (*launch.Compiled, error) {
	root, err := p.Root()
	if err != nil {
		return nil, err
	}
	e, stack, err := p.m.planEnv(env, f.Image.User, p.me(root))
	if err != nil {
		return nil, err
	}
	e.Name = p.Name()
	e.At = f.Project.At
	e.Set, e.Pass = f.Env.Set, f.Env.Pass
	e.Mounts = f.Mounts
	e.Network = f.Network.Mode
	e.Shm = int64(f.Limits.Shm)
	e.Ptrace = contains(f.Isolation.Allow, "ptrace")
	e.Sources = map[string]string{}
	for k := range f.Mounts {
		if pos := f.Pos("mounts", k); pos.Line > 0 {
			e.Sources["mounts."+k] = fmt.Sprintf("%s:%d", pos.File, pos.Line)
		}
	}
	c := &launch.Compiled{Env: *e, Root: root, Needs: f.Needs, Limits: f.Limits, Bind: f.Bind.Mounts, Stores: p.m.user.Stores, Tasks: map[string]launch.Task{}}
	c.GPU, c.CDI, c.InfiniBand = f.GPU, f.Devices.CDI, f.Devices.InfiniBand == "auto"
	for _, s := range f.Steps {
		if s.Where == "project" {
			c.Steps = append(c.Steps, s)
		}
	}
	for name, t := range f.Tasks {
		if p.l.Options.Network != "" || p.l.Options.Stranger {
			t.Network = nil // the command line's, or none
		}
		tp := launch.Task{Task: t}
		if t.User != "" {
			u, err := resolveUser(t.User, env.Image.User, p.me(root), stack)
			if err != nil {
				return nil, fmt.Errorf("task %s: %w", name, err)
			}
			tp.User = &u
		}
		c.Tasks[name] = tp
	}
	if w := f.Wants(); !w.Empty() {
		c.Wants, c.Asks = w.Digest(), w.String()
	}
	names, err := p.inputFiles(f)
	if err != nil {
		return nil, err
	}
	for _, name := range append(names, inputFolders(f, names)...) {
		s, err := launch.StampOf(filepath.Join(p.Dir, name))
		if err != nil {
			return nil, err
		}
		c.Stamps = append(c.Stamps, s)
	}
	return c, nil
}

// planEnv is what the image and its layers alone say.
func (m *Manager) planEnv(env *build.Env, want string, me caller) (*plan.Env, *layer.Stack, error) {
	e := &plan.Env{
		Digest: env.Digest, ImageEnv: env.Image.Env, WorkingDir: env.Image.WorkingDir,
		Network: "host", PythonEnv: env.PythonEnv, AptSources: env.AptSources,
	}
	var dirs []string
	for _, l := range env.Layers {
		dirs = append(dirs, l.FS)
		e.Lowers = append(e.Lowers, spec.Lower{Path: l.FS, Why: l.Why})
	}
	stack := layer.NewStack(dirs)
	if _, err := stack.Stat("/usr/bin/apt-get"); err == nil {
		e.Apt = true
	}
	u, err := resolveUser(want, env.Image.User, me, stack)
	if err != nil {
		return nil, nil, err
	}
	e.User = u
	passwd, group, err := passwdWith(stack, u)
	if err != nil || passwd == nil {
		return e, stack, err
	}
	dir, err := m.identityLayer(passwd, group, stack)
	if err != nil {
		return nil, nil, err
	}
	e.Lowers = append(e.Lowers, spec.Lower{Path: dir, Why: "a name for the user inside, above the image's own passwd"})
	return e, stack, nil
}

// me is the caller, or, for host root, the owner of the project: "me" of a root shell in somebody's
// folder is that somebody's business.
func (p *Project) me(string) caller { return whoami() }

func whoami() caller {
	c := caller{UID: os.Getuid(), GID: os.Getgid(), Name: os.Getenv("USER"), Home: os.Getenv("HOME")}
	if u, err := user.LookupId(strconv.Itoa(c.UID)); err == nil {
		c.Name, c.Home = u.Username, u.HomeDir
	}
	if c.Name == "" || !launch.ValidName(c.Name) {
		c.Name = "user"
	}
	return c
}

// locked reads the lock, or makes one where there is none, and checks that it fits the env file.
func (p *Project) locked(ctx context.Context) (*envfile.Lock, string, error) {
	f, err := p.File()
	if err != nil {
		return nil, "", err
	}
	if err := p.here(); err != nil {
		return nil, "", err
	}
	if p.l.LockSrc == nil {
		if p.l.Options.Stranger {
			return nil, "", hint.With(fmt.Errorf("this repository has no %s, so nothing says which bytes its code was written for", LockName), "--lock makes one now, of what the archives have today")
		}
		if err := p.Lock(ctx, LockOptions{Here: true}); err != nil {
			return nil, "", err
		}
		p.m.notice("wrote %s; commit this file", LockName)
		if f, err := p.File(); err == nil && len(ordered(f.Platforms)) > 1 {
			p.m.notice("it is for %s; sandbox lock adds what of the other platforms can be locked here", build.Platform())
		}
	}
	lock, err := envfile.ReadLock(LockName, p.l.LockSrc)
	if err != nil {
		return nil, "", err
	}
	inputs, err := p.lockInputs(f, build.Platform())
	if err != nil {
		return nil, "", err
	}
	if err := lock.Check(build.Platform(), p.lockProfiles(f), inputs); err != nil {
		return nil, "", err
	}
	name := p.section(f)
	return lock, name, lock.Sections[name].CheckConfig(envfile.ConfigOf(f))
}

// section is the name of the lock's section for this machine and these profiles.
func (p *Project) section(f *envfile.File) string {
	return envfile.SectionName(build.Platform(), p.lockProfiles(f))
}

// lockProfiles are those that change a locked key.
func (p *Project) lockProfiles(f *envfile.File) []string {
	profiles := f.LockProfiles
	if f.LockOwn { // the machine's own file changes what is locked: a section of its own
		profiles = append(profiles[:len(profiles):len(profiles)], "local")
	}
	return profiles
}

// lockInputs are the values and files that a platform's section depends on, as they are now.
func (p *Project) lockInputs(f *envfile.File, platform string) (map[string]string, error) {
	files := map[string]string{}
	names, err := p.inputFiles(f)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		sum, err := build.SumOf(filepath.Join(p.Dir, name))
		if err != nil {
			return nil, err
		}
		files[name] = sum
	}
	return envfile.Inputs(f, platform, files), nil
}

// inputFiles lists every file of the project that the lock depends on, sorted: those that the env
// file names, those that they include in turn, and the inputs of image steps.
func (p *Project) inputFiles(f *envfile.File) ([]string, error) {
	if err := p.filesAreThere(f); err != nil {
		return nil, err
	}
	names, err := envfile.AllInputFiles(f, p.readInput)
	if err != nil {
		return nil, err
	}
	for _, s := range f.Steps {
		if s.Where == "project" {
			continue
		}
		inputs, err := build.Expand(p.Dir, p.m.StoreDir(), s.Inputs)
		if err != nil {
			return nil, err
		}
		names = append(names, inputs...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// inputFolders are the folders of image steps' inputs: a file that is new in one may be an input too.
func inputFolders(f *envfile.File, names []string) []string {
	patterns := 0
	for _, s := range f.Steps {
		if s.Where != "project" {
			patterns += len(s.Inputs)
		}
	}
	if patterns == 0 {
		return nil
	}
	var out []string
	for _, name := range names {
		for dir := filepath.Dir(name); dir != "." && !slices.Contains(out, dir); dir = filepath.Dir(dir) {
			out = append(out, dir)
		}
	}
	return out
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// readInput reads a file that the env file names. A committed link must not lead to a file of the
// user's outside of the project.
func (p *Project) readInput(name string) ([]byte, error) {
	if filepath.IsLocal(name) {
		if real, err := filepath.EvalSymlinks(filepath.Join(p.Dir, name)); err == nil && launch.Below(p.Dir, real) == "" {
			return nil, fmt.Errorf("%s leads out of the project, to %s", name, real)
		}
	}
	return smallfile.Read(filepath.Join(p.Dir, name))
}
