package layer

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// place is an open folder of the tree.
type place struct {
	fd    int
	real  string // its path without symbolic links
	plain bool   // real is the name that was asked for
}

// More open folders than this are closed. Few are enough: entries come folder by folder.
const openDirs = 12

// parent opens the folder called name inside the root, following links that this layer made, and makes
// what is missing.
func (x *extractor) parent(name string, cause *entry) (place, error) {
	if name == x.lastName {
		return x.last, nil
	}
	p, ok := x.dirs[name]
	if !ok {
		if name == "" {
			p = place{fd: x.root, plain: true}
		} else {
			if len(x.dirs) >= openDirs {
				x.forgetDirs()
				x.closeForgotten()
			}
			var err error
			if p, err = x.openParent(name, cause); err != nil {
				return place{}, err
			}
			x.dirs[name] = p
		}
	}
	x.lastName, x.last = name, p
	return p, nil
}

// forgetDirs must be called when something goes away that a parent may have been resolved through. The
// descriptors stay good until the next entry.
func (x *extractor) forgetDirs() {
	for n, p := range x.dirs {
		x.closing = append(x.closing, p.fd)
		delete(x.dirs, n)
	}
	x.lastName, x.last = "", place{fd: x.root, plain: true}
}

func (x *extractor) closeForgotten() {
	for _, fd := range x.closing {
		unix.Close(fd)
	}
	x.closing = x.closing[:0]
}

func (x *extractor) openParent(name string, cause *entry) (place, error) {
	fd, err := openBeneath(x.root, name, openDirFlags)
	if err == nil {
		return place{fd: fd, real: name, plain: true}, nil
	}
	// Missing parts, links, or a kernel or sandbox without openat2: go step by step.
	return x.walk(name, cause)
}

// openBeneath opens name below root; no component may be a symbolic link.
func openBeneath(root int, name string, flags uint64) (int, error) {
	how := unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(root, name, &how)
		if err != unix.EINTR && err != unix.EAGAIN {
			return fd, err
		}
	}
}

const maxLinks = 40

// walk opens name component by component. A link starts over with its target; ".." of a target never
// leaves the root.
func (x *extractor) walk(name string, cause *entry) (place, error) {
	todo := strings.Split(name, "/")
	var real []string
	cur, err := dup(x.root)
	if err != nil {
		return place{}, err
	}
	defer func() { unix.Close(cur) }()
	enter := func(fd int) { unix.Close(cur); cur = fd }
	for links := 0; len(todo) > 0; {
		c := todo[0]
		todo = todo[1:]
		if c == "" || c == "." {
			continue
		}
		if c == ".." {
			real = real[:max(len(real)-1, 0)]
			fd, err := x.reopen(real)
			if err != nil {
				return place{}, err
			}
			enter(fd)
			continue
		}
		path := strings.Join(append(real, c), "/")
		target, err := x.step(cur, c, path, cause)
		if err != nil {
			return place{}, fmt.Errorf("parent %q: %w", path, err)
		}
		if target != "" {
			if links++; links > maxLinks {
				return place{}, fmt.Errorf("parent %q: %w", path, unix.ELOOP)
			}
			todo = append(strings.Split(target, "/"), todo...)
			if target[0] == '/' {
				real = nil
				fd, err := dup(x.root)
				if err != nil {
					return place{}, err
				}
				enter(fd)
			}
			continue
		}
		fd, err := unix.Openat(cur, c, openDirFlags|unix.O_NOFOLLOW, 0)
		if err != nil {
			return place{}, fmt.Errorf("parent %q: %w", path, err)
		}
		enter(fd)
		real = append(real, c)
	}
	fd, err := dup(cur)
	path := strings.Join(real, "/")
	return place{fd: fd, real: path, plain: path == name}, err
}

func dup(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

// reopen opens a path that has no links, step by step.
func (x *extractor) reopen(real []string) (int, error) {
	fd, err := dup(x.root)
	for _, c := range real {
		if err != nil {
			break
		}
		var next int
		next, err = unix.Openat(fd, c, openDirFlags|unix.O_NOFOLLOW, 0)
		unix.Close(fd)
		fd = next
	}
	return fd, err
}

// step looks at one component: a link's target, or "" for a folder, which is made if it is missing.
func (x *extractor) step(dir int, name, path string, cause *entry) (target string, err error) {
	var st unix.Stat_t
	err = unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT:
		return "", x.makeParent(dir, name, path, false, cause)
	case err != nil:
		return "", err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "", nil
	case unix.S_IFLNK:
		return readlink(dir, name)
	case unix.S_IFCHR: // a whiteout of this layer: what it hides stays hidden
		if err := unix.Unlinkat(dir, name, 0); err != nil {
			return "", err
		}
		return "", x.makeParent(dir, name, path, true, cause)
	}
	return "", errors.New("not a directory")
}

func (x *extractor) makeParent(dir int, name, path string, opaque bool, cause *entry) error {
	if err := unix.Mkdirat(dir, name, 0o755); err != nil {
		return err
	}
	x.pending[path] = dirAttrs{mode: 0o755, inherit: !opaque, sec: cause.sec, nsec: cause.nsec}
	if opaque {
		return setOpaque(dir, name)
	}
	return nil
}

func readlink(dir int, name string) (string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(dir, name, buf)
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	return string(buf[:max(n, 0)]), err
}
