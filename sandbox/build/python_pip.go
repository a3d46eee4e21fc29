package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/images/wheel"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// debWheels is where Debian's python3-pip-whl keeps the wheel of pip.
const debWheels = "usr/share/python-wheels"

// maxPip bounds a wheel of pip, which has 2 MB.
const maxPip = 64 << 20

// PipFromDeb takes the wheel of pip out of the .deb python3-pip-whl and puts it into s.
func PipFromDeb(ctx context.Context, s *store.Store, pkg *os.File) (wheel.Pin, error) {
	tmp, cleanup, err := s.TempDir("pip-")
	if err != nil {
		return wheel.Pin{}, err
	}
	defer cleanup()
	root, err := os.Open(tmp)
	if err != nil {
		return wheel.Pin{}, err
	}
	defer root.Close()
	if _, err := deb.Unpack(pkg, root, deb.UnpackOptions{}); err != nil {
		return wheel.Pin{}, fmt.Errorf("python3-pip-whl: %w", err)
	}
	// What was unpacked may hold links: looked at as a layer, they stay inside.
	st := layer.NewStack([]string{tmp})
	defer st.Close()
	pin, err := pipFromTree(ctx, s, st, "/"+debWheels)
	if err != nil {
		return pin, fmt.Errorf("python3-pip-whl: %w", err)
	}
	return pin, nil
}

// PipFromBase takes the wheel of pip that comes with an interpreter, for ensurepip. Debian takes it
// out of its Python; there the error is fs.ErrNotExist.
func PipFromBase(ctx context.Context, s *store.Store, st *layer.Stack, py Python) (wheel.Pin, error) {
	return pipFromTree(ctx, s, st, path.Join(py.Stdlib, "ensurepip/_bundled"))
}

// pipFromTree puts the wheel of pip in a folder of a tree into s.
func pipFromTree(ctx context.Context, s *store.Store, st *layer.Stack, dir string) (wheel.Pin, error) {
	ents, err := st.ReadDir(dir)
	if err != nil {
		return wheel.Pin{}, err
	}
	for _, e := range ents {
		f, err := wheel.ParseFilename(e.Name())
		if err != nil || wheel.Normalize(f.Name) != "pip" {
			continue
		}
		b, err := st.ReadFile(path.Join(dir, e.Name()), maxPip)
		if err != nil {
			return wheel.Pin{}, err
		}
		d, n, err := s.PutBlob(ctx, strings.NewReader(string(b)), "")
		if err != nil {
			return wheel.Pin{}, err
		}
		return wheel.Pin{Name: "pip", Version: f.Version, File: e.Name(), Size: n, SHA256: d.Hex(), Index: wheel.Default}, nil
	}
	return wheel.Pin{}, fmt.Errorf("no wheel of pip in %s: %w", dir, fs.ErrNotExist)
}

// PipFromIndex picks a wheel of pip for py: the version that want names, else the newest that runs.
func PipFromIndex(ctx context.Context, c *wheel.Client, set wheel.Set, py Python, want string) (wheel.Pin, error) {
	idx, err := set.Default()
	if err != nil {
		return wheel.Pin{}, err
	}
	files, err := c.Files(ctx, idx, "pip")
	if err != nil {
		return wheel.Pin{}, err
	}
	rank, err := py.Target.Ranker()
	if err != nil {
		return wheel.Pin{}, err
	}
	full := py.Full
	if full == "" {
		full = py.Version + ".0"
	}
	running, err := wheel.ParseVersion(full)
	if err != nil {
		return wheel.Pin{}, err
	}
	var best wheel.Pin
	var bestV wheel.Version
	for _, f := range files {
		n, err := wheel.ParseFilename(f.Name)
		if err != nil || f.Yanked || f.SHA256 == "" {
			continue
		}
		v, err := wheel.ParseVersion(n.Version)
		spec, err2 := wheel.ParseSpecifier(f.RequiresPython)
		_, runs := rank.Rank(n)
		if err != nil || err2 != nil || !runs || v.Prerelease() || !spec.Allows(running) {
			continue
		}
		pin := wheel.Pin{Name: "pip", Version: n.Version, File: f.Name, Size: f.Size, SHA256: f.SHA256, Index: idx.Name, URL: f.URL, UploadTime: f.UploadTime}
		if n.Version == want {
			return pin, nil
		}
		if best.File == "" || v.Compare(bestV) > 0 {
			best, bestV = pin, v
		}
	}
	if best.File == "" {
		return best, hint.With(fmt.Errorf("the index has no pip for Python %s", py.Version), "take a base with a newer Python")
	}
	return best, nil
}

// readNoFollow reads a file that something in a sandbox wrote: a link there could lead anywhere on
// the host.
func readNoFollow(dir, name string, max int64) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0) // a FIFO would make us wait
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file: %s", filepath.Join(dir, name))
	}
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(b)) > max {
		err = errors.New("too large: " + name)
	}
	return b, err
}
