package launch

import (
	"os"
	"syscall"
)

// StampOf looks at a file, following links.
func StampOf(path string) (Stamp, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return Stamp{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return Stamp{path, st.Size, st.Mtim.Nano(), st.Ctim.Nano(), st.Ino}, nil
}
