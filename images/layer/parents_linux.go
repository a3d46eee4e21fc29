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
			if err := x.recall(p.real, p.fd); err != nil {
				unix.Close(p.fd)
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
	return x.walk(name, cause) // there are links, or parts are missing
}

// What one look-up may take. Links are as many as the kernel follows. It bounds no components, but ".." in the
// targets of so few links can make a hundred thousand; a name alone has 2048 at most.
const (
	maxLinks      = 40
	maxComponents = 4096
)

// What the look-ups of a layer may take beyond the names themselves, in components of the links' targets: some in
// all, and so many for each entry.
const (
	detours      = 1 << 16
	entryDetours = 64
)

// walk opens name component by component. A link starts over with its target; ".." of a target never
// leaves the root. What is missing is made, or with cause nil is unix.ENOENT.
func (x *extractor) walk(name string, cause *entry) (place, error) {
	todo := strings.Split(name, "/")
	var real []string
	cur, err := dup(x.root)
	if err != nil {
		return place{}, err
	}
	defer func() { unix.Close(cur) }()
	enter := func(fd int) { unix.Close(cur); cur = fd }
	for links, n := 0, 0; len(todo) > 0; n++ {
		if n > maxComponents {
			return place{}, fmt.Errorf("parent %q: %w", shown(name), unix.ELOOP)
		}
		if err := x.ctx.Err(); err != nil {
			return place{}, err
		}
		c := todo[0]
		todo = todo[1:]
		if c == "" || c == "." || c == ".." && len(real) == 0 {
			continue
		}
		if c == ".." { // of a folder that was entered by its own name: nobody else moves it
			real = real[:len(real)-1]
			fd, err := unix.Openat(cur, "..", openDirFlags, 0)
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
			x.detours += strings.Count(target, "/") + 1
			if links++; links > maxLinks || x.detours > detours+entryDetours*x.entries {
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

// step looks at one component: a link's target, or "" for a folder, which is made if it is missing.
func (x *extractor) step(dir int, name, path string, cause *entry) (target string, err error) {
	var st unix.Stat_t
	err = unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT && cause != nil:
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
		if cause == nil {
			return "", unix.ENOENT
		}
		above, _ := split(path)
		if err := x.recall(above, dir); err != nil {
			return "", err
		}
		if err := unix.Unlinkat(dir, name, 0); err != nil {
			return "", err
		}
		return "", x.makeParent(dir, name, path, true, cause)
	}
	return "", errors.New("not a directory")
}

func (x *extractor) makeParent(dir int, name, path string, opaque bool, cause *entry) error {
	if strings.HasPrefix(name, whPrefix) {
		if !strings.HasPrefix(name, whUnion) {
			return errors.New("a name that begins with .wh. cannot be that of a folder")
		}
		x.union.add(path)
	}
	above, _ := split(path)
	if err := x.recall(above, dir); err != nil {
		return err
	}
	if err := unix.Mkdirat(dir, name, 0o755); err != nil {
		return err
	}
	x.pending.set(path, dirAttrs{mode: 0o755, inherit: !opaque, sec: cause.sec, nsec: cause.nsec})
	if opaque {
		return setOpaque(dir, name)
	}
	return nil
}
