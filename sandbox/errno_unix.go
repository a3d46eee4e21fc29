package sandbox

import (
	"errors"
	"io/fs"
	"syscall"
)

// isReadOnly tells an error of a place that cannot be written, by its file system or by its owner.
func isReadOnly(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission)
}
