package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// Names of a project's files.
const (
	EnvName   = "sandbox.toml"
	LockName  = "sandbox.lock"
	LocalName = "sandbox.local.toml"
)

// maxEnvFile bounds the files that a project brings: they may come from strangers.
const maxEnvFile = 16 << 20

// ProjectOptions is what the command line says about a project.
type ProjectOptions struct {
	Profiles []string
	Stranger bool // --from: nothing is granted and the network is none, unless said otherwise
	Network  string
	Bind     map[string]string // --mount NAME=PATH: values of declared mounts
}

// Project is one env file with the lock beside it.
type Project struct {
	Dir string // folder of the env file, absolute, links resolved

	m        *Manager
	o        ProjectOptions
	envSrc   []byte
	lockSrc  []byte // nil: no lock
	localSrc []byte
	doc      *envfile.Document
	file     *envfile.File

	cacheScope string // --from: a ~/.cache of its own
}

// ErrNoProject says that no env file was found.
var ErrNoProject = errors.New("no " + EnvName + " here or above")

// Project finds the env file in dir or above it and reads it with the files beside it; nothing is
// parsed yet.
func (m *Manager) Project(dir string, o ProjectOptions) (*Project, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, fmt.Errorf("project folder: %w", err)
	}
	for d := abs; ; d = filepath.Dir(d) {
		src, err := readSmall(filepath.Join(d, EnvName))
		if err == nil {
			return m.projectAt(d, src, o)
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return nil, err
		}
		if d == "/" {
			return nil, hint.With(ErrNoProject, "sandbox init writes one; sandbox run --image REF COMMAND needs none")
		}
	}
}

func (m *Manager) projectAt(dir string, src []byte, o ProjectOptions) (*Project, error) {
	p := &Project{Dir: dir, m: m, o: o, envSrc: src}
	var err error
	if o.Stranger {
		for _, name := range []string{EnvName, LockName} {
			if st, err := os.Lstat(filepath.Join(dir, name)); err == nil && !st.Mode().IsRegular() {
				return nil, fmt.Errorf("not a regular file: %s", filepath.Join(dir, name))
			}
		}
	}
	if p.lockSrc, err = readIf(filepath.Join(dir, LockName)); err != nil {
		return nil, err
	}
	if !o.Stranger { // a local file that came with a stranger's repository grants nothing
		if p.localSrc, err = readIf(filepath.Join(dir, LocalName)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// File parses and resolves the env file.
func (p *Project) File() (*envfile.File, error) {
	if p.file != nil {
		return p.file, nil
	}
	version := envfile.WithVersion(p.m.o.Version)
	doc, err := envfile.Parse(EnvName, p.envSrc, version)
	if err != nil {
		return nil, err
	}
	opts := envfile.ResolveOptions{Profiles: p.o.Profiles, When: p.m.when(), User: p.m.user}
	if p.localSrc != nil {
		if opts.Local, err = envfile.ParseLocal(LocalName, p.localSrc, version); err != nil {
			return nil, err
		}
		if err := p.notCommitted(LocalName); err != nil {
			return nil, err
		}
	}
	switch {
	case p.o.Network != "":
		opts.Overrides = map[string]any{"network.mode": p.o.Network}
	case p.o.Stranger:
		opts.Overrides = map[string]any{"network.mode": "none"}
	}
	f, err := doc.Resolve(opts)
	if err != nil {
		return nil, err
	}
	if err := supported(f); err != nil {
		return nil, err
	}
	p.doc, p.file = doc, f
	return f, nil
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
	if filepath.IsLocal(f.Project.Root) && root != p.Dir && storeBelow(p.Dir, root) == "" {
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

// when answers the conditions that profiles may ask for.
func (m *Manager) when() map[string]bool {
	_, err := os.Stat("/dev/nvidiactl")
	return map[string]bool{"no-gpu": err != nil}
}

func readIf(path string) ([]byte, error) {
	b, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// readSmall reads a regular file of bounded size; a pipe or device in its place does not hang us.
func readSmall(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file: %s", path)
	}
	if st.Size() > maxEnvFile {
		return nil, fmt.Errorf("larger than %d bytes: %s", maxEnvFile, path)
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// storeBelow is the store's path relative to dir if it lies below it, else "".
func storeBelow(dir, store string) string {
	rel, err := filepath.Rel(dir, store)
	if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
		return ""
	}
	return rel
}
