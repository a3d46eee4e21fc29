package layer

import (
	"archive/tar"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

type was int

const (
	wasOther was = iota
	wasDir       // and still is: the new entry is one too
	wasWhiteout
)

// displace makes room for e under base: the later of two entries wins. Contents that the tar cannot be
// put together without are moved aside.
func (x *extractor) displace(p place, base string, e *entry) (was, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(p.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0, x.fail(e.name, "replace", err)
	}
	real := join(p.real, base)
	if x.owners != nil {
		x.owners.forget(real)
	}
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFDIR && e.kind == tar.TypeDir {
		return wasDir, nil
	}
	var err error
	switch kind {
	case unix.S_IFDIR:
		err = x.displaceTree(p, base, real)
	default:
		err = x.displaceFile(p.fd, base, real, &st)
	}
	if err != nil {
		return 0, x.fail(e.name, "replace", err)
	}
	if kind == unix.S_IFDIR || kind == unix.S_IFLNK {
		x.forgetDirs()
	}
	if kind == unix.S_IFCHR {
		return wasWhiteout, nil
	}
	return wasOther, nil
}

func (x *extractor) displaceFile(dir int, base, real string, st *unix.Stat_t) error {
	if !x.side || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size == 0 {
		return unix.Unlinkat(dir, base, 0)
	}
	kept := filepath.Join(x.dir, keptDir)
	if len(x.moved.kept) == 0 {
		if err := os.Mkdir(kept, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	n := x.moved.keep(x.files, real)
	return unix.Renameat(dir, base, unix.AT_FDCWD, filepath.Join(kept, strconv.Itoa(n)))
}

// displaceTree empties and removes a folder. Its paths are short enough to be opened anew each time.
func (x *extractor) displaceTree(p place, base, real string) error {
	fd, err := unix.Openat(p.fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dirs := []string{""} // below real; each is emptied of files first, then all go, the last first
	defer unix.Close(fd)
	for i := 0; i < len(dirs); i++ {
		more, err := x.displaceFiles(fd, dirs[i], real)
		if err != nil {
			return err
		}
		dirs = append(dirs, more...)
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		path := strings.TrimSuffix(real+"/"+dirs[i], "/")
		delete(x.pending, path)
		delete(x.hides, path)
		if x.owners != nil {
			x.owners.forget(path)
		}
		if i > 0 {
			if err := x.rmdir(fd, dirs[i]); err != nil {
				return err
			}
		}
	}
	return unix.Unlinkat(p.fd, base, unix.AT_REMOVEDIR)
}

func (x *extractor) rmdir(root int, path string) error {
	dir, base := split(path)
	d, err := x.sub(root, dir, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(d)
	return unix.Unlinkat(d, base, unix.AT_REMOVEDIR)
}

// sub opens a folder below root by a path that we have just read from the tree.
func (x *extractor) sub(root int, path string, flags int) (int, error) {
	if path == "" {
		path = "."
	}
	return openBeneath(root, path, flags|unix.O_DIRECTORY)
}

func (x *extractor) displaceFiles(root int, path, real string) (dirs []string, err error) {
	d, err := x.sub(root, path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(d), path)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(d, n, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, err
		}
		below := join(path, n)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			dirs = append(dirs, below)
			continue
		}
		if x.owners != nil {
			x.owners.forget(real + "/" + below)
		}
		if err := x.displaceFile(d, n, real+"/"+below, &st); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}
