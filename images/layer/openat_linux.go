package layer

import (
	"strings"

	"golang.org/x/sys/unix"
)

const openDirFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC

// openBeneath opens name below root; no component may be a symbolic link.
func openBeneath(root int, name string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(root, name, &how)
		switch err {
		case unix.EINTR, unix.EAGAIN:
			continue
		case unix.ENOSYS, unix.EPERM: // an old kernel, or a seccomp filter that does not know it
			return openPlain(root, name, flags|unix.O_CLOEXEC)
		}
		return fd, err
	}
}

// openPlain is openBeneath step by step.
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

func dup(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

func readlink(dir int, name string) (string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(dir, name, buf)
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	return string(buf[:max(n, 0)]), err
}
