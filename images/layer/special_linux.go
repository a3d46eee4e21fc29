package layer

import (
	"archive/tar"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// special makes everything that is not a regular file.
func (x *extractor) special(p place, base string, e *entry) error {
	real := join(p.real, base)
	switch e.kind {
	case tar.TypeDir:
		return x.makeDir(p, base, real, e)
	case tar.TypeLink:
		return x.hardLink(p, base, real, e)
	case tar.TypeSymlink:
		return x.node(p, base, real, e, func() error { return unix.Symlinkat(e.link, p.fd, base) })
	case tar.TypeFifo:
		return x.node(p, base, real, e, func() error { return unix.Mknodat(p.fd, base, unix.S_IFIFO|e.mode&0o777, 0) })
	case tar.TypeChar, tar.TypeBlock:
		// An empty file in its place: the device would be one of the host. Also 0:0, which overlayfs
		// would take for a whiteout.
		return x.node(p, base, real, e, func() error {
			fd, err := unix.Openat(p.fd, base, createFlags, e.mode&0o777)
			if err == nil {
				err = unix.Close(fd)
			}
			return err
		})
	}
	x.warn("type", "entry %q has the unknown type %q and is left out", shown(e.name), e.kind)
	return nil
}

// node makes something in place of what is there, and gives it its attributes.
func (x *extractor) node(p place, base, real string, e *entry, make func() error) error {
	err := make()
	if err == unix.EEXIST {
		if _, err := x.displace(p, base, e); err != nil {
			return err
		}
		err = make()
	}
	if err != nil {
		return x.fail(e.name, "create", err)
	}
	kept := map[string]string{}
	for n, v := range e.xattrs { // user.* cannot be on links and special files
		if !dropped(n) {
			kept[n] = v
		}
	}
	if e.kind != tar.TypeSymlink && (e.mode&0o7000 != 0 || e.mode&x.umask != 0) {
		if err := unix.Fchmodat(p.fd, base, e.mode, 0); err != nil {
			return x.fail(e.name, "chmod", err)
		}
	}
	if err := setTimeAt(p.fd, base, e.sec, e.nsec); err != nil {
		return x.fail(e.name, "set the time", err)
	}
	x.note(real, e, kept)
	return nil
}

// makeDir makes a folder that its owner can fill; the exact mode comes at the end.
func (x *extractor) makeDir(p place, base, real string, e *entry) error {
	opaque := false
	err := unix.Mkdirat(p.fd, base, e.mode&0o777|0o700)
	if err == unix.EEXIST {
		was, derr := x.displace(p, base, e)
		if derr != nil {
			return derr
		}
		if was == wasDir {
			return x.setDir(p, base, real, e)
		}
		opaque = was == wasHidden
		err = unix.Mkdirat(p.fd, base, e.mode&0o777|0o700)
	}
	if err != nil {
		return x.fail(e.name, "mkdir", err)
	}
	if opaque {
		if err := setOpaque(p.fd, base); err != nil {
			return x.fail(e.name, "mark as opaque", err)
		}
	}
	return x.setDir(p, base, real, e)
}

// setDir notes the attributes of a folder for the end, and sets what can be set now.
func (x *extractor) setDir(p place, base, real string, e *entry) error {
	x.pending.set(real, dirAttrs{mode: e.mode, sec: e.sec, nsec: e.nsec})
	var kept map[string]string
	if len(e.xattrs) > 0 {
		fd, err := unix.Openat(p.fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return x.fail(e.name, "open", err)
		}
		defer unix.Close(fd)
		if kept, err = x.setXattrs(fd, e); err != nil {
			return err
		}
	}
	x.note(real, e, kept)
	return nil
}

// hardLink links to another entry of this layer; a link to a symbolic link is one more name of the link.
func (x *extractor) hardLink(p place, base, real string, e *entry) error {
	targetDir, targetBase := split(e.link)
	if e.link == "" {
		return fmt.Errorf("entry %q: a hard link to a directory", shown(e.name))
	}
	// Parents of a target are never made: what is not there has nothing to link to.
	t, err := x.target(targetDir)
	if err != nil {
		return fmt.Errorf("entry %q: the target %q of the hard link: %w", shown(e.name), shown(e.link), err)
	}
	defer unix.Close(t)
	var st, old unix.Stat_t
	err = unix.Fstatat(t, targetBase, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT, err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR:
		return fmt.Errorf("entry %q: the target %q of the hard link is not in this layer", shown(e.name), shown(e.link))
	case err != nil:
		return x.fail(e.name, "link", err)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return fmt.Errorf("entry %q: a hard link to a directory: %q", shown(e.name), shown(e.link))
	}
	if unix.Fstatat(p.fd, base, &old, unix.AT_SYMLINK_NOFOLLOW) == nil {
		if old.Ino == st.Ino && old.Dev == st.Dev {
			return nil // a link to itself, or the same link once more
		}
		if _, err := x.displace(p, base, e); err != nil {
			return err
		}
	}
	if err := unix.Linkat(t, targetBase, p.fd, base, 0); err != nil {
		return x.fail(e.name, "link", err)
	}
	x.note(real, e, nil)
	return nil
}

// target opens the folder of a hard link's target, without making anything.
func (x *extractor) target(name string) (int, error) {
	if name == "" {
		return dup(x.root)
	}
	fd, err := openBeneath(x.root, name, openDirFlags)
	if err == nil {
		return fd, nil
	}
	p, err := x.walk(name, nil)
	return p.fd, err
}

func (x *extractor) noted(e *entry) bool {
	return x.owners != nil && (e.uid != 0 || e.gid != 0 || len(e.xattrs) > 0)
}

// note writes down what the file does not have.
func (x *extractor) note(real string, e *entry, xattrs map[string]string) {
	if x.owners == nil {
		return
	}
	o := Owner{UID: x.id(e.uid, e), GID: x.id(e.gid, e), Xattrs: xattrs}
	switch e.kind {
	case tar.TypeChar:
		o.Device, o.Major, o.Minor = 'c', e.major, e.minor
	case tar.TypeBlock:
		o.Device, o.Major, o.Minor = 'b', e.major, e.minor
	}
	if o.UID|o.GID != 0 || o.Device != 0 || len(xattrs) > 0 {
		x.owners.put(real, o)
	}
}

// id keeps ids in the range that a kernel knows; 2^32-1 means "no id" there.
func (x *extractor) id(n int, e *entry) int {
	if n >= 0 && int64(n) < 1<<32-1 {
		return n
	}
	x.warn("id", "entry %q belongs to the impossible id %d; nobody (65534) is taken instead", shown(e.name), n)
	return 65534
}

// dropped are names that only overlayfs, and we, may write.
func dropped(name string) bool {
	return strings.HasPrefix(name, "user.overlay.") || strings.HasPrefix(name, "trusted.overlay.") ||
		strings.HasPrefix(name, "user.sandbox.")
}

// setXattrs sets what means the same to everybody, user.*, and returns the rest.
func (x *extractor) setXattrs(fd int, e *entry) (kept map[string]string, err error) {
	for n, v := range e.xattrs {
		if dropped(n) {
			continue
		}
		if strings.HasPrefix(n, "user.") {
			switch err := unix.Fsetxattr(fd, n, []byte(v), 0); err {
			case nil:
				continue
			case unix.EDQUOT, unix.EIO:
				return nil, x.fail(e.name, "set an attribute", err)
			default: // also ENOSPC, which here means: more than the file system keeps for a file
				x.warn("xattr", "entry %q: the file system cannot hold the attribute %q (%v); it is kept for exports only", shown(e.name), n, err)
			}
		}
		if kept == nil {
			kept = map[string]string{}
		}
		kept[n] = v
	}
	return kept, nil
}
