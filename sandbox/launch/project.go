package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/smallfile"
)

// Names of a project's files.
const (
	EnvName   = "sandbox.toml"
	LockName  = "sandbox.lock"
	LocalName = "sandbox.local.toml"
)

// ProjectOptions is what the command line says about a project.
type ProjectOptions struct {
	Profiles []string
	Stranger bool // --from: nothing is granted and the network is none, unless said otherwise
	Network  string
	Bind     map[string]string // --mount NAME=PATH: values of declared mounts
}

// Project is one env file with the files beside it, as bytes.
type Project struct {
	Dir      string // folder of the env file, absolute, links resolved
	Options  ProjectOptions
	EnvSrc   []byte
	LockSrc  []byte // nil: no lock
	LocalSrc []byte

	CacheScope string // --from: a ~/.cache of its own

	// Steps runs the steps of c in the project that its outputs do not show to have run; nil where
	// that cannot be done.
	Steps func(ctx context.Context, c *Compiled, o RunOptions) error

	l *Launcher
}

// ErrNoProject says that no env file was found.
var ErrNoProject = errors.New("no " + EnvName + " here or above")

// Find looks for the env file in dir and above it and reads it with the files beside it; nothing is
// parsed.
func (l *Launcher) Find(dir string, o ProjectOptions) (*Project, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no such folder: %s", abs)
	} else if err != nil {
		return nil, fmt.Errorf("project folder: %w", err)
	}
	abs = real
	for d := abs; ; d = filepath.Dir(d) {
		src, err := smallfile.Read(filepath.Join(d, EnvName))
		if err == nil {
			return l.projectAt(d, src, o)
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return nil, err
		}
		if d == "/" {
			return nil, hint.With(ErrNoProject, "sandbox init writes one; run --image REF, export REF and push --image REF need none")
		}
	}
}

func (l *Launcher) projectAt(dir string, src []byte, o ProjectOptions) (*Project, error) {
	p := &Project{Dir: dir, l: l, Options: o, EnvSrc: src}
	var err error
	if o.Stranger {
		for _, name := range []string{EnvName, LockName} {
			if st, err := os.Lstat(filepath.Join(dir, name)); err == nil && !st.Mode().IsRegular() {
				return nil, fmt.Errorf("not a regular file: %s", filepath.Join(dir, name))
			}
		}
	}
	if p.LockSrc, err = smallfile.ReadIf(filepath.Join(dir, LockName)); err != nil {
		return nil, err
	}
	if !o.Stranger { // a local file that came with a stranger's repository grants nothing
		if p.LocalSrc, err = smallfile.ReadIf(filepath.Join(dir, LocalName)); err != nil {
			return nil, err
		}
	}
	return p, nil
}
