package inject

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// numbersOf are the numbers of a device node.
func numbersOf(fi fs.FileInfo) (major, minor int, ok bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(unix.Major(st.Rdev)), int(unix.Minor(st.Rdev)), true
}
