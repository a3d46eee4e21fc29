package build

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/owner"
)

const pycache = "__pycache__"

// StaleBytecode lists what a writable layer must go on to hide when it leaves without its __pycache__ folders:
// bytecode of the layers below (folders of the store, bottom first) that is not that of the modules in it. Python
// does not look whether bytecode of one kind is that of its source, and where all times are alike it may take that of
// the other kind, too. What Python compiled by the way is not in the list: nobody chose which modules that were.
func StaleBytecode(upper string, below []string) ([]string, error) {
	w := &staleWalk{cached: map[string][]string{}}
	for _, dir := range slices.Backward(below) {
		w.below = append(w.below, &lowerLayer{fs: filepath.Join(dir, "fs")})
	}
	if err := owner.Walk(upper, w.visit); err != nil {
		return nil, err
	}
	slices.Sort(w.out)
	w.out = slices.Compact(w.out)
	gone := map[string]bool{} // whole folders: nothing in them need be hidden
	for _, p := range w.out {
		gone[p] = path.Base(p) == pycache
	}
	return slices.DeleteFunc(w.out, func(p string) bool { return gone[path.Dir(p)] }), nil
}

type staleWalk struct {
	underlay
	cached map[string][]string // names in the __pycache__ below, by its path
	out    []string
}

func (w *staleWalk) visit(at, p string, st *unix.Statx_t) error {
	below := w.through(p)
	kind := st.Mode & unix.S_IFMT
	whiteout := kind == unix.S_IFCHR && st.Rdev_major|st.Rdev_minor == 0
	dir, name := path.Split(p)
	dir = strings.TrimSuffix(dir, "/")
	switch {
	case name == pycache && (kind != unix.S_IFDIR || opaque(at)):
		if len(below) > 0 {
			w.out = append(w.out, p)
		}
		if kind == unix.S_IFDIR {
			return fs.SkipDir
		}
	case path.Base(dir) == pycache:
		if len(below) > 0 && (whiteout || unchecked(filepath.Join(below[0].fs, p))) {
			w.out = append(w.out, p)
		}
		if kind == unix.S_IFDIR {
			return fs.SkipDir
		}
	case kind == unix.S_IFDIR:
		w.enter(at, p, below)
	case strings.HasSuffix(name, ".py") && !whiteout:
		return w.module(path.Join(dir, pycache), strings.TrimSuffix(name, "py"))
	}
	return nil
}

// module hides the bytecode in the folder cache of a module; prefix is the module's name with a dot.
func (w *staleWalk) module(cache, prefix string) error {
	names, ok := w.cached[cache]
	if !ok {
		stack := w.through(cache)
		for _, l := range dirsOf(stack, cache) {
			ents, err := os.ReadDir(filepath.Join(l.fs, cache))
			if errors.Is(err, fs.ErrPermission) { // closed by the image, to whoever is not root
				w.out = append(w.out, cache)
			} else if err != nil {
				return err
			}
			for _, e := range ents {
				if p := path.Join(cache, e.Name()); strings.HasSuffix(p, ".pyc") && len(showing(stack, p)) > 0 {
					names = append(names, e.Name())
				}
			}
		}
		w.cached[cache] = names
	}
	for _, n := range names {
		if strings.HasPrefix(n, prefix) {
			w.out = append(w.out, path.Join(cache, n))
		}
	}
	return nil
}

// unchecked tells whether Python would take a file for the bytecode of whatever source there is (PEP 552), or if
// that cannot be seen.
func unchecked(file string) bool {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer unix.Close(fd)
	var head [8]byte
	n, err := unix.Pread(fd, head[:], 0)
	return err != nil || n == len(head) && head[4]&3 == 1
}
