package layer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// hit is what a name leads to: its topmost layer, and for a folder all layers that it is merged from.
type hit struct {
	layer  int
	info   fs.FileInfo
	layers []int
}

// Open opens the regular file that path leads to, for reading.
func (s *Stack) Open(path string) (*os.File, error) {
	real, h, err := s.resolve("open", path, true)
	if err != nil {
		return nil, err
	}
	if !h.info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	root, err := s.root(h.layer)
	if err != nil {
		return nil, err
	}
	fd, err := s.openAt(root, real, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// ReadFile reads the regular file that path leads to. More than max bytes is an error.
func (s *Stack) ReadFile(path string, max int64) ([]byte, error) {
	f, err := s.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", max)}
	}
	return b, nil
}

// Lstat describes path; a symbolic link at its end is not followed.
func (s *Stack) Lstat(path string) (fs.FileInfo, error) {
	_, h, err := s.resolve("lstat", path, false)
	if err != nil {
		return nil, err
	}
	return h.info, nil
}

// Stat describes what path leads to.
func (s *Stack) Stat(path string) (fs.FileInfo, error) {
	_, h, err := s.resolve("stat", path, true)
	if err != nil {
		return nil, err
	}
	return h.info, nil
}

// Resolve says where path leads when all links are followed inside the stack: a path without links,
// with a leading slash. What does not exist is taken as it is.
func (s *Stack) Resolve(path string) (string, error) {
	real, _, err := s.resolve("resolve", path, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return "/" + real, nil
}

// Readlink gives the target of the symbolic link at path.
func (s *Stack) Readlink(path string) (string, error) {
	real, h, err := s.resolve("readlink", path, false)
	if err != nil {
		return "", err
	}
	target, err := s.readlinkAt(h.layer, real)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return target, nil
}

// ReadDir lists the folder that path leads to, sorted by name.
func (s *Stack) ReadDir(path string) ([]fs.DirEntry, error) {
	real, h, err := s.resolve("readdir", path, true)
	if err != nil {
		return nil, err
	}
	if !h.info.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: path, Err: unix.ENOTDIR}
	}
	seen := map[string]bool{}
	var out []fs.DirEntry
	for _, layer := range h.layers {
		names, err := s.names(layer, real)
		if err != nil {
			return nil, &fs.PathError{Op: "readdir", Path: path, Err: err}
		}
		for _, n := range names {
			if seen[n] {
				continue
			}
			seen[n] = true
			c, err := s.child(h.layers, join(real, n))
			if errors.Is(err, fs.ErrNotExist) {
				continue // a whiteout
			}
			if err != nil {
				return nil, err
			}
			out = append(out, fs.FileInfoToDirEntry(c.info))
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out, nil
}

func (s *Stack) names(layer int, real string) ([]string, error) {
	root, err := s.root(layer)
	if err != nil {
		return nil, err
	}
	fd, err := s.openAt(root, real, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), real)
	defer f.Close()
	return f.Readdirnames(-1)
}

func (s *Stack) root(layer int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roots == nil {
		s.roots = make([]*os.File, len(s.dirs))
	}
	if s.roots[layer] == nil {
		fd, err := unix.Open(s.dirs[layer], openDirFlags, 0)
		if err != nil {
			return -1, &fs.PathError{Op: "open", Path: s.dirs[layer], Err: err}
		}
		s.roots[layer] = os.NewFile(uintptr(fd), s.dirs[layer])
	}
	return int(s.roots[layer].Fd()), nil
}

func (s *Stack) openAt(root int, real string, flags int) (int, error) {
	if real == "" {
		real = "."
	}
	return openBeneath(root, real, flags)
}

// maxWork bounds a look-up in many layers, each of which is asked for each component by its whole path: it is
// counted in components that the kernel looks at, of which a call takes the time of callWork.
const (
	maxWork  = 8 << 20
	callWork = 64
)

// resolve follows path. On fs.ErrNotExist real is where it would be.
func (s *Stack) resolve(op, path string, follow bool) (real string, h hit, err error) {
	fail := func(err error) (string, hit, error) { return real, hit{}, &fs.PathError{Op: op, Path: path, Err: err} }
	if len(path) > 4095 {
		return fail(unix.ENAMETOOLONG)
	}
	todo := strings.Split(path, "/")
	top, err := s.top()
	if err != nil {
		return fail(err)
	}
	h = top
	var above []hit // the folders that lead to h
	for links, n, work := 0, 0, 0; len(todo) > 0; n++ {
		if n > maxComponents || work > maxWork {
			return fail(unix.ELOOP)
		}
		c := todo[0]
		todo = todo[1:]
		switch c {
		case "", ".":
			continue
		case "..":
			real, _ = split(real)
			if d := len(above); d > 0 {
				h, above = above[d-1], above[:d-1]
			}
			continue
		}
		if !h.info.IsDir() {
			return fail(unix.ENOTDIR)
		}
		work += len(h.layers) * (callWork + len(above))
		next, err := s.child(h.layers, join(real, c))
		if errors.Is(err, fs.ErrNotExist) {
			real = missing(join(real, c), todo)
			return fail(fs.ErrNotExist)
		}
		if err != nil {
			return fail(err)
		}
		if next.info.Mode()&fs.ModeSymlink != 0 && (follow || len(todo) > 0) {
			if links++; links > maxLinks {
				return fail(unix.ELOOP)
			}
			target, err := s.readlinkAt(next.layer, join(real, c))
			if err != nil {
				return fail(err)
			}
			todo = append(strings.Split(target, "/"), todo...)
			if strings.HasPrefix(target, "/") {
				real, h, above = "", top, nil
			}
			continue
		}
		above = append(above, h)
		real, h = join(real, c), next
	}
	return real, h, nil
}

// missing adds the rest of a path that is not there.
func missing(real string, rest []string) string {
	for _, c := range rest {
		switch c {
		case "", ".":
		case "..":
			real, _ = split(real)
		default:
			real = join(real, c)
		}
	}
	return real
}

// top is the root: it is merged from all layers down to the first opaque one.
func (s *Stack) top() (hit, error) {
	all := make([]int, len(s.dirs))
	for i := range all {
		all[i] = len(s.dirs) - 1 - i
	}
	return s.lookup(all, "")
}

// folder looks up a path that no link leads through.
func (s *Stack) folder(path string) (hit, error) {
	h, err := s.top()
	for real, rest := "", path; err == nil && rest != ""; {
		var c string
		c, rest, _ = strings.Cut(rest, "/")
		real = join(real, c)
		h, err = s.child(h.layers, real)
	}
	if err == nil && !h.info.IsDir() {
		err = unix.ENOTDIR
	}
	return h, err
}

func (s *Stack) child(layers []int, real string) (hit, error) {
	s.mu.Lock()
	known, ok := s.merged[real]
	s.mu.Unlock()
	if ok {
		layers = known
	}
	h, err := s.lookup(layers, real)
	if err == nil && !ok && h.info.IsDir() {
		s.remember(real, h.layers)
	}
	return h, err
}

// lookup asks the layers, top first, as overlayfs does: the first that has the name decides, folders
// merge until one is opaque or something else is in the way.
func (s *Stack) lookup(layers []int, real string) (h hit, err error) {
	h.layer = -1
	for _, i := range layers {
		root, err := s.root(i)
		if err != nil {
			return h, err
		}
		fd, err := s.openAt(root, real, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return h, err
		}
		f := os.NewFile(uintptr(fd), real)
		info, err := f.Stat()
		stop := err == nil && (!info.IsDir() || isOpaque(fd))
		f.Close()
		if err != nil {
			return h, err
		}
		if info.Mode()&fs.ModeCharDevice != 0 || !info.IsDir() && h.layer >= 0 {
			break
		}
		if h.layer < 0 {
			h.layer, h.info = i, info
		}
		if info.IsDir() {
			h.layers = append(h.layers, i)
		}
		if stop {
			break
		}
	}
	if h.layer < 0 {
		return h, fs.ErrNotExist
	}
	return h, nil
}

func (s *Stack) remember(real string, layers []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.merged == nil || len(s.merged) > 4096 {
		s.merged = map[string][]int{}
	}
	s.merged[real] = layers
}

func (s *Stack) readlinkAt(layer int, real string) (string, error) {
	root, err := s.root(layer)
	if err != nil {
		return "", err
	}
	fd, err := s.openAt(root, real, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return readlink(fd, "")
}

// isOpaque asks by way of proc, since attributes cannot be read from an O_PATH descriptor.
func isOpaque(fd int) bool {
	var v [4]byte
	n, err := unix.Getxattr("/proc/self/fd/"+strconv.Itoa(fd), opaqueXattr, v[:])
	return err == nil && n == 1 && v[0] == 'y'
}

// OpaqueRoot says whether the layer tree hides everything below it. Overlayfs itself does not look.
func OpaqueRoot(fs string) bool {
	var v [4]byte
	n, err := unix.Getxattr(fs, opaqueXattr, v[:])
	return err == nil && n == 1 && v[0] == 'y'
}
