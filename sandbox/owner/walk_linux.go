package owner

import (
	"io/fs"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Visit is called for everything in a tree, also its top (path ""); folders come before what they hold.
// The entry is reachable as at, without following a link at its end, until Visit returns. If that is
// [fs.SkipDir], which a removed folder needs, what the folder holds is left out.
type Visit func(at, path string, st *unix.Statx_t) error

const (
	maxDepth = 4096 // a path has at most 4096 bytes, but folders can be moved into each other
	wanted   = unix.STATX_TYPE | unix.STATX_MODE | unix.STATX_INO | unix.STATX_CTIME | unix.STATX_BTIME | unix.STATX_MTIME | unix.STATX_SIZE
)

// Walk visits a tree that nobody else changes. Nothing is followed: the tree was written by strangers. What its
// owner may not read is read nevertheless: it has the permission for that moment.
func Walk(top string, f Visit) error {
	fd, err := unix.Open(top, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: top, Err: err}
	}
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, wanted, &st); err != nil {
		unix.Close(fd)
		return &os.PathError{Op: "statx", Path: top, Err: err}
	}
	if err := f(self(fd)+"/.", "", &st); err != nil { // as a link it would have no attributes
		unix.Close(fd)
		return err
	}
	return walkDir(fd, "", f, 0)
}

func self(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// walkDir closes fd.
func walkDir(fd int, dir string, f Visit, depth int) error {
	d := os.NewFile(uintptr(fd), dir)
	defer d.Close()
	if depth > maxDepth {
		return &os.PathError{Op: "open", Path: dir, Err: unix.ELOOP}
	}
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := walkName(fd, name, path.Join(dir, name), f, depth); err != nil {
			return err
		}
	}
	return nil
}

func walkName(dir int, name, path string, f Visit, depth int) error {
	var st unix.Statx_t
	if err := unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW, wanted, &st); err != nil {
		return &os.PathError{Op: "statx", Path: path, Err: err}
	}
	back, err := lend(dir, name, &st)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer back()
	if err := f(self(dir)+"/"+name, path, &st); err == fs.SkipDir {
		return nil
	} else if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	return walkDir(fd, path, f, depth+1)
}

// lend gives the owner the permissions that reading, and removing an attribute, take, until back is
// called. For root modes are no obstacle.
func lend(dir int, name string, st *unix.Statx_t) (back func(), err error) {
	need := uint32(0o600)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		need = 0o700
	case unix.S_IFREG:
	default:
		return func() {}, nil
	}
	mode := uint32(st.Mode) & 0o7777
	if mode&need == need || os.Geteuid() == 0 {
		return func() {}, nil
	}
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	var now unix.Stat_t
	if err = unix.Fstat(fd, &now); err == nil && (now.Ino != st.Ino || now.Mode != uint32(st.Mode)) {
		err = unix.EAGAIN
	}
	if err == nil {
		err = unix.Chmod(self(fd), mode|need)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return func() {
		unix.Chmod(self(fd), mode)
		unix.Close(fd)
	}, nil
}
