package sandbox

import (
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// Names of a project's files.
const (
	EnvName   = launch.EnvName
	LockName  = launch.LockName
	LocalName = launch.LocalName
)

// ProjectOptions is what the command line says about a project.
type ProjectOptions = launch.ProjectOptions

// Project is one env file with the lock beside it.
type Project struct {
	Dir string // folder of the env file, absolute, links resolved

	m    *Manager
	l    *launch.Project
	doc  *envfile.Document
	file *envfile.File
}

// ErrNoProject says that no env file was found.
var ErrNoProject = launch.ErrNoProject

// Project finds the env file in dir or above it and reads it with the files beside it; nothing is
// parsed yet.
func (m *Manager) Project(dir string, o ProjectOptions) (*Project, error) {
	l, err := m.l.Find(dir, o)
	if err != nil {
		return nil, err
	}
	p := &Project{Dir: l.Dir, m: m, l: l}
	l.Steps = p.projectSteps
	return p, nil
}

// File parses and resolves the env file.
func (p *Project) File() (*envfile.File, error) {
	if p.file != nil {
		return p.file, nil
	}
	version := envfile.WithVersion(p.m.o.Version)
	doc, err := envfile.Parse(EnvName, p.l.EnvSrc, version)
	if err != nil {
		return nil, err
	}
	opts := envfile.ResolveOptions{Profiles: p.l.Options.Profiles, When: map[string]bool{"no-gpu": launch.NoGPU()}, User: p.m.user}
	if p.l.LocalSrc != nil {
		if opts.Local, err = envfile.ParseLocal(LocalName, p.l.LocalSrc, version); err != nil {
			return nil, err
		}
		if err := p.notCommitted(LocalName); err != nil {
			return nil, err
		}
	}
	switch {
	case p.l.Options.Network != "":
		opts.Overrides = map[string]any{"network.mode": p.l.Options.Network}
	case p.l.Options.Stranger:
		opts.Overrides = map[string]any{"network.mode": "none"}
	}
	f, err := doc.Resolve(opts)
	if err != nil {
		return nil, err
	}
	if err := f.Unsupported(); err != nil {
		return nil, err
	}
	p.doc, p.file = doc, f
	return f, nil
}

// Profiles are the names of the env file's profiles.
func (p *Project) Profiles() ([]string, error) {
	_, err := p.File()
	if p.doc == nil {
		return nil, err
	}
	return p.doc.Profiles(), err
}

// Name is the env file's name, or the folder's.
func (p *Project) Name() string {
	if p.file != nil && p.file.Name != "" {
		return p.file.Name
	}
	return filepath.Base(p.Dir)
}

// Root is the folder that is mounted: [project] root.
func (p *Project) Root() (string, error) {
	f, err := p.File()
	if err != nil {
		return "", err
	}
	root, err := filepath.EvalSymlinks(filepath.Join(p.Dir, f.Project.Root))
	if err != nil {
		return "", err
	}
	// A root that is written as lying outside needs consent; one that only a committed link leads
	// outside must not get around it.
	if filepath.IsLocal(f.Project.Root) && root != p.Dir && launch.Below(p.Dir, root) == "" {
		return "", fmt.Errorf("[project] root %s leads out of the project, to %s", f.Project.Root, root)
	}
	return root, nil
}

// notCommitted refuses a local file that came with the code: it could grant what only this machine's
// user may.
func (p *Project) notCommitted(name string) error {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil
	}
	cmd := exec.Command(git, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "ls-files", "--error-unmatch", "--", name)
	cmd.Dir = p.Dir
	if cmd.Run() != nil { // not tracked, or no repository
		return nil
	}
	return hint.With(fmt.Errorf("%s is committed: it binds things of one machine, and nobody else's may say so", name), "git rm --cached "+name)
}
