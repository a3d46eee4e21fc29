package layer

import (
	"strings"

	"golang.org/x/sys/unix"
)

// openInRoot opens name below root as a container with that root would: links are followed, an absolute
// one starts at root, ".." does not leave it.
func openInRoot(root int, name string, flags uint64) (int, error) {
	how := unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(root, name, &how)
		switch err {
		case unix.EINTR, unix.EAGAIN:
			continue
		case unix.ENOSYS, unix.EPERM:
			return openPlain(root, name, int(flags))
		}
		return fd, err
	}
}

// openPlain opens name below root step by step and follows no link at all: for kernels and seccomp
// filters without openat2, and paths that are known to have no links.
func openPlain(root int, name string, flags int) (int, error) {
	cur := root
	for {
		c, rest, more := strings.Cut(name, "/")
		f := flags | unix.O_NOFOLLOW
		if more {
			f = openDirFlags | unix.O_NOFOLLOW
		}
		if c == ".." {
			return -1, unix.EXDEV
		}
		fd, err := unix.Openat(cur, c, f, 0)
		if cur != root {
			unix.Close(cur)
		}
		if err != nil || !more {
			return fd, err
		}
		cur, name = fd, rest
	}
}
