package inject

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver"
)

// Inputs are the facts of one start.
type Inputs struct {
	Roots     gpu.Roots
	Inventory gpu.Inventory
	Picks     []gpu.Pick
	Set       *driver.Set      // found with the same Caps
	Caps      []gpu.Capability // nil is compute and utility

	Image Image
	Facts *ImageFacts // kept result of ReadImage for the same layers; nil reads them

	Environ    map[string]string // the host's: CUDA_MPS_*
	EnvDigest  string            // of the environment, for CacheKey
	CompatMode string            // cuda-compat of the image: "auto" (or ""), "on", "off"
	Force      bool              // go on with an image without glibc
	OwnCache   bool              // the sandbox's writable layer has an /etc/ld.so.cache, which an earlier driver may be in
	CheckNodes bool              // check numbers and permission of nodes also where Roots are not those of this machine
}

func (in *Inputs) wants(caps ...gpu.Capability) bool {
	return slices.ContainsFunc(caps, func(c gpu.Capability) bool { return slices.Contains(in.Caps, c) })
}

// Image shows the merged layers as the sandbox will see them, without what this package adds. The
// functions take absolute paths, follow links inside the image only and may be nil; what they return is
// hostile.
type Image struct {
	ReadFile func(path string, max int64) ([]byte, error)
	Stat     func(path string) (fs.FileInfo, error)
	Lstat    func(path string) (fs.FileInfo, error) // a link at the end is not followed
	ReadDir  func(path string) ([]fs.DirEntry, error)
	Resolve  func(path string) (string, error) // without links; what does not exist is taken as it is
	Env      []string                          // the whole environment of the program but for what this package sets
}

var errTooLarge = errors.New("too large")

// read gives the content of a regular file. Pipes and devices are not opened.
func (m *Image) read(name string, limit int64) ([]byte, error) {
	fi, err := m.stat(name)
	switch {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s of the image is not a regular file", name)
	case fi.Size() > limit:
		return nil, fmt.Errorf("%s of the image: %w: more than %d bytes", name, errTooLarge, limit)
	case m.ReadFile == nil:
		return nil, fs.ErrNotExist
	}
	b, err := m.ReadFile(name, limit)
	if err == nil && int64(len(b)) > limit {
		return nil, fmt.Errorf("%s of the image: %w: more than %d bytes", name, errTooLarge, limit)
	}
	return b, err
}

func (m *Image) stat(name string) (fs.FileInfo, error) {
	if m.Stat == nil {
		return nil, fs.ErrNotExist
	}
	return m.Stat(name)
}

func (m *Image) exists(name string) bool {
	_, err := m.stat(name)
	return err == nil
}

// maxNames bounds how much of a folder is looked at.
const maxNames = 4096

func (m *Image) names(dir string) []string {
	if m.ReadDir == nil {
		return nil
	}
	list, err := m.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range list[:min(len(list), maxNames)] {
		out = append(out, e.Name())
	}
	return out
}

func (m *Image) resolve(name string) string {
	if m.Resolve == nil {
		return name
	}
	if real, err := m.Resolve(name); err == nil {
		return real
	}
	return ""
}

// plainFolder says why name cannot be a folder that another layer adds files to; "" if it can. A folder
// in a layer hides a link of that name below it, and all that the link leads to.
func (m *Image) plainFolder(name string) string {
	if m.Lstat != nil {
		if fi, err := m.Lstat(name); err == nil && fi.Mode()&fs.ModeSymlink != 0 {
			return name + " of the image is a link"
		}
	}
	fi, err := m.stat(name)
	real := m.resolve(name)
	switch {
	case real != name:
		return name + " of the image is a link"
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		return name + " of the image cannot be read"
	case !fi.IsDir():
		return name + " of the image is no folder"
	}
	return ""
}
