package layer

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	opaqueXattr = "user.overlay.opaque"
	originXattr = "user.overlay.origin"
)

// whiteout makes the form that overlayfs knows of a name that begins with ".wh.".
func (x *extractor) whiteout(p place, base string, e *entry) error {
	hidden, opaque, skip, err := whiteout(base)
	if err != nil {
		return &os.PathError{Op: "entry", Path: e.name, Err: err}
	}
	if skip {
		return nil
	}
	if opaque {
		if p.real == "" {
			x.info.OpaqueRoot = true
		} else {
			x.inheritsNot(p.real)
		}
		err = setOpaque(p.fd, ".")
	} else {
		err = x.hide(p, hidden)
	}
	if err != nil {
		return x.fail(e.name, "make a whiteout", err)
	}
	return nil
}

// hide makes the whiteout of name, which acts on lower layers only: what this layer has of that name
// stays, and hides them by itself, for as long as it stays.
func (x *extractor) hide(p place, name string) error {
	err := unix.Mknodat(p.fd, name, unix.S_IFCHR, 0)
	if err == nil && x.hides.first(p.real) {
		err = markWhiteouts(p.fd)
	}
	if err != unix.EEXIST {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(p.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
	case unix.S_IFCHR: // the same once more
		return nil
	default:
		x.hidden.add(p.real, name)
		return nil
	}
	x.inheritsNot(join(p.real, name))
	return setOpaque(p.fd, name)
}

// marks are folders that are known to be marked as having whiteouts. It forgets now and then: to mark once
// more is only a waste of time.
type marks struct {
	m    map[string]bool
	size int
}

func (m *marks) first(path string) bool {
	if m.m[path] {
		return false
	}
	if m.size > 4<<20 || m.m == nil {
		m.m, m.size = map[string]bool{}, 0
	}
	m.m[path] = true
	m.size += len(path) + remembered
	return true
}

func (m *marks) forget(path string) { delete(m.m, path) }

// markWhiteouts tells overlayfs that there are whiteouts in a folder. Otherwise it lists a folder that
// only one layer has, or that is opaque, without looking for any, and shows names that lead nowhere. The
// mark is the empty form of "copied up from somewhere".
func markWhiteouts(dir int) error {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return markDir(fd)
}

func markDir(fd int) error {
	return writable(fd, func() error { return unix.Fsetxattr(fd, originXattr, nil, 0) })
}

func setOpaque(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fsetxattr(fd, opaqueXattr, []byte("y"), 0)
}
