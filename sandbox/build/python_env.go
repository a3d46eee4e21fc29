package build

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/4cc2e759/sandbox/images/wheel"
)

// EnvPrefix is where an environment's own Python packages lie. Its bin folder is first on PATH.
const EnvPrefix = "/opt/env"

// PythonEnv is what /opt/env is made of.
type PythonEnv struct {
	Dir    string // root of the layer that is being made: its fs folder
	Python Python
	Wheels []wheel.Wheel // pip among them
	Notice func(string)  // nil: nothing is said
}

// BuildPythonEnv makes /opt/env: a virtual environment over the image's interpreter that sees what
// the image has installed, with wheels linked from the store. The same inputs give the same bytes,
// but for times and for which files share an inode. Nothing is executed.
func BuildPythonEnv(e PythonEnv) error {
	root := filepath.Join(e.Dir, EnvPrefix)
	lib := "opt/env/lib/python" + e.Python.Version
	for _, d := range []string{"opt", "opt/env", "opt/env/bin", "opt/env/lib", lib, lib + "/site-packages"} {
		p := filepath.Join(e.Dir, d)
		// Chmod: a layer must not depend on the umask of who builds it.
		if err := errors.Join(os.Mkdir(p, 0o755), os.Chmod(p, 0o755)); err != nil {
			return err
		}
	}
	version := e.Python.Full
	if version == "" {
		version = e.Python.Version
	}
	// Read by Python itself at start: home is where the interpreter lies that this one stands for.
	cfg := fmt.Sprintf("home = %s\ninclude-system-site-packages = true\nversion = %s\n", path.Dir(e.Python.Path), version)
	file := filepath.Join(root, "pyvenv.cfg")
	if err := errors.Join(os.WriteFile(file, []byte(cfg), 0o644), os.Chmod(file, 0o644)); err != nil {
		return err
	}
	err := wheel.Link(e.Wheels, root, e.Python.Version, wheel.LinkOptions{Conflict: func(c *wheel.ConflictError) error {
		if !c.Harmless() {
			return c
		}
		if e.Notice != nil {
			e.Notice(c.Error() + "; the first is kept")
		}
		return nil
	}})
	if err != nil {
		return err
	}
	links := [][2]string{
		{"bin/python", e.Python.Path}, {"bin/python3", "python"}, {"bin/python" + e.Python.Version, "python"},
		{"lib64", "lib"}, // Fedora's Python looks for extension modules there
	}
	for _, l := range links {
		err := os.Symlink(l[1], filepath.Join(root, l[0]))
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("a wheel has a file of its own at %s", path.Join(EnvPrefix, l[0]))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
