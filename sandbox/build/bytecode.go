package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
)

// Bytecode is one making of a bytecode layer.
type Bytecode struct {
	Box    Box // its layers, stubs and log are set
	Python Python
	Dirs   []string // folders inside to compile
	Dir    string   // of the layer that is being made: holds fs/, empty
}

// bytecodeKind is how Python tells whether a compiled module is still that of its source: by the time and size that
// the source had. Layers keep them, and whoever changes a module inside a sandbox changes them. It is part of the
// layer's name.
const bytecodeKind = "timestamp"

// BuildBytecode compiles the modules of an environment into a layer that holds nothing but
// __pycache__ folders. The interpreter of the image does the work, without network; modules that do not
// compile are left out, and so are those whose bytecode the image has.
func BuildBytecode(ctx context.Context, c Bytecode) error {
	up, work := filepath.Join(c.Dir, "fs"), filepath.Join(c.Dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	b := c.Box
	b.Upper, b.Work, b.Network = up, work, false
	b.Env = append(b.Env, "PYTHONHASHSEED=0")
	// -I and -S: neither the environment nor .pth files of the image take part. -B: compileall alone writes.
	args := append([]string{c.Python.Path, "-I", "-S", "-B", "-m", "compileall", "-q", "-q", "-j", "0", "--invalidation-mode", bytecodeKind,
		// A third of the standard library is its own tests.
		"-x", "^" + regexp.QuoteMeta(c.Python.Stdlib) + "/(test|idlelib|lib2to3|turtledemo)/"}, c.Dirs...)
	err := b.Run(ctx, args...)
	if full := roomError(err); full != nil {
		return full // what is there is not all, and would stay so
	}
	var exit *ExitError
	if errors.As(err, &exit) && exit.Code == 1 { // some module has a syntax error: test data, Python 2
		err = nil
	}
	if err != nil {
		return fmt.Errorf("bytecode: %w", err)
	}
	if err := store.RemoveAll(work); err != nil {
		return err
	}
	if err := keepBytecode(up); err != nil {
		return err
	}
	return layer.CleanUpper(up)
}

// keepBytecode deletes everything that is not in a __pycache__ folder, and folders that are empty
// then.
func keepBytecode(root string) error {
	_, err := keepBelow(root)
	return err
}

func keepBelow(dir string) (left bool, err error) {
	ents, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range ents {
		p := filepath.Join(dir, e.Name())
		if e.IsDir() && e.Name() == "__pycache__" {
			left = true
			err = onlyRegular(p)
		} else if keep := false; e.IsDir() {
			if keep, err = keepBelow(p); err == nil && !keep {
				err = store.RemoveAll(p)
			}
			left = left || keep
		} else {
			err = os.Remove(p)
		}
		if err != nil {
			return false, err
		}
	}
	return left, nil
}

// onlyRegular deletes whiteouts and the like from a folder of bytecode.
func onlyRegular(dir string) error {
	ents, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range ents {
		if e.Type()&fs.ModeType != 0 {
			if err := store.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
