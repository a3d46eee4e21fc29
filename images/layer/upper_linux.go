package layer

import (
	"context"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/lend"
)

// CleanUpper makes a layer of the upper directory of an overlay that is no longer mounted: it removes
// the attributes by which overlayfs remembers this very mount, and keeps whiteouts and opaque folders.
func CleanUpper(fs string) error {
	fd, err := unix.Open(fs, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: fs, Err: err}
	}
	defer unix.Close(fd)
	l, err := lend.New(fd, fs)
	if err != nil {
		return err
	}
	defer l.Close()
	top, err := dup(fd)
	if err != nil {
		return err
	}
	if err := cleanXattrs(fd); err != nil {
		unix.Close(top)
		return &os.PathError{Op: "clean", Path: fs, Err: err}
	}
	return cleanDir(l, top, "")
}

// cleanDir takes over fd.
func cleanDir(l *lend.Tree, fd int, path string) error {
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	marked := false
	for _, n := range names {
		var st unix.Stat_t
		err := l.Look(context.Background(), fd, path, func() error {
			return unix.Fstatat(fd, n, &st, unix.AT_SYMLINK_NOFOLLOW)
		})
		switch kind := st.Mode & unix.S_IFMT; {
		case err != nil:
		case kind == unix.S_IFCHR && st.Rdev == 0 && !marked:
			marked = true
			err = markDir(fd)
		case kind == unix.S_IFREG: // user.* attributes are only on these and on folders
			err = cleanFile(l, fd, join(path, n))
		case kind == unix.S_IFDIR:
			err = cleanSub(l, fd, join(path, n))
		}
		if err != nil {
			return &os.PathError{Op: "clean", Path: join(path, n), Err: err}
		}
	}
	return nil
}

func cleanSub(l *lend.Tree, dir int, path string) error {
	fd, err := l.Open(context.Background(), dir, path, unix.O_RDONLY|unix.O_DIRECTORY, 0o600, cleanXattrs)
	if err != nil {
		return err
	}
	return cleanDir(l, fd, path)
}

func cleanFile(l *lend.Tree, dir int, path string) error {
	fd, err := l.Open(context.Background(), dir, path, unix.O_RDONLY|unix.O_NONBLOCK, 0o600, cleanXattrs)
	if err == nil {
		unix.Close(fd)
	}
	return err
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
		if err := removeXattr(fd, name); err != nil && !errors.Is(err, unix.ENODATA) {
			return err
		}
	}
	return nil
}

// removeXattr removes an attribute of a file that may be read-only.
func removeXattr(fd int, name string) error {
	return writable(fd, func() error { return unix.Fremovexattr(fd, name) })
}

// writable calls f, with the owner's right to write lent for the moment if it needs that: attributes
// ask for it whatever the descriptor was opened for.
func writable(fd int, f func() error) error {
	err := f()
	if err != unix.EACCES {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	old := st.Mode & 0o7777
	if err := unix.Fchmod(fd, old|0o200); err != nil {
		return err
	}
	return errors.Join(f(), unix.Fchmod(fd, old))
}
