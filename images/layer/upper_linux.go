package layer

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// CleanUpper makes a layer of the upper directory of an overlay that is no longer mounted: it removes
// the attributes by which overlayfs remembers this very mount, and keeps whiteouts and opaque folders.
func CleanUpper(fs string) error {
	fd, err := unix.Open(fs, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: fs, Err: err}
	}
	return cleanDir(fd, "")
}

// cleanDir takes over fd.
func cleanDir(fd int, path string) error {
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := cleanXattrs(fd); err != nil {
		return &os.PathError{Op: "clean", Path: path, Err: err}
	}
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, n, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &os.PathError{Op: "stat", Path: join(path, n), Err: err}
		}
		kind := st.Mode & unix.S_IFMT
		if kind != unix.S_IFREG && kind != unix.S_IFDIR {
			continue // user.* attributes are only on these
		}
		c, err := unix.Openat(fd, n, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: join(path, n), Err: err}
		}
		if kind == unix.S_IFDIR {
			if err := cleanDir(c, join(path, n)); err != nil {
				return err
			}
			continue
		}
		err = cleanXattrs(c)
		unix.Close(c)
		if err != nil {
			return &os.PathError{Op: "clean", Path: join(path, n), Err: err}
		}
	}
	return nil
}

func cleanXattrs(fd int) error {
	buf := make([]byte, 4096)
	n, err := unix.Flistxattr(fd, buf)
	if err == unix.ERANGE {
		buf = make([]byte, 64<<10)
		n, err = unix.Flistxattr(fd, buf)
	}
	if err == unix.EOPNOTSUPP || err == nil && n == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if !strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		if name == opaqueXattr {
			if v, err := getXattr(fd, name); err == nil && string(v) == "y" {
				continue
			}
		}
		if err := unix.Fremovexattr(fd, name); err != nil && !errors.Is(err, unix.ENODATA) {
			return err
		}
	}
	return nil
}
