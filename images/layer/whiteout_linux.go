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
		}
		if a, ok := x.pending[p.real]; ok && a.inherit { // nothing is left to inherit from
			a.inherit = p.real == ""
			x.pending[p.real] = a
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
// stays, and hides them by itself.
func (x *extractor) hide(p place, name string) error {
	err := unix.Mknodat(p.fd, name, unix.S_IFCHR, 0)
	if err == nil && !x.hides[p.real] {
		x.hides[p.real] = true
		err = markWhiteouts(p.fd)
	}
	if err != unix.EEXIST {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(p.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	real := join(p.real, name)
	if a, ok := x.pending[real]; ok {
		a.inherit = false
		x.pending[real] = a
	}
	return setOpaque(p.fd, name)
}

// markWhiteouts tells overlayfs that there are whiteouts in a folder. Otherwise it lists a folder that
// only one layer has, or that is opaque, without looking for any, and shows names that lead nowhere. The
// mark is the empty form of "copied up from somewhere".
func markWhiteouts(dir int) error {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
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
