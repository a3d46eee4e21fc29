package out

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const ownFiles = "/proc/self/fd"

// nameless opens a new file in dir that has no name. Without /proc it could never be given one.
func nameless(dir string) (*os.File, error) {
	if _, err := os.Stat(ownFiles); err != nil {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// link gives f a name that is free.
func link(f *os.File, name string) error {
	err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("%s/%d", ownFiles, f.Fd()), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		return &os.LinkError{Op: "link", Old: f.Name(), New: name, Err: err}
	}
	return nil
}
