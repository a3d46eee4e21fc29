//go:build unix

// Package smallfile reads files that strangers may have written, or that something else may lie in the
// place of. Use [Read], or [ReadOwn] for files of our own: a pipe or device in a file's place does not hang
// the caller, and a huge one does not fill the memory.
package smallfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Max bounds what Read reads, in bytes.
const Max = 16 << 20

// Read gives the content of a regular file of at most Max bytes.
func Read(path string) ([]byte, error) { return read(path, 0) }

// ReadOwn is Read for a file that we wrote ourselves: a link in its place is not followed.
func ReadOwn(path string) ([]byte, error) { return read(path, syscall.O_NOFOLLOW) }

func read(path string, flags int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC|flags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file: %s", path)
	}
	if st.Size() > Max {
		return nil, fmt.Errorf("larger than %d bytes: %s", Max, path)
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// ReadIf is Read for a file that may be missing: nil, and no error, if it is.
func ReadIf(path string) ([]byte, error) {
	b, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}
