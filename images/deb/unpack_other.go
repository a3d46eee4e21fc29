//go:build !linux

package deb

import (
	"errors"
	"io"
	"os"
)

// Unpack works on Linux only: it needs the kernel to resolve links inside of a root.
func Unpack(io.Reader, *os.File, UnpackOptions) ([]Entry, error) {
	return nil, errors.New("unpacking packages is not possible on this system")
}
