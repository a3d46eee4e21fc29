// Package access asks the kernel whether this process may open a file for reading and writing, without
// opening it: opening a device may wake it up.
package access

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// ReadWrite is nil if path may be opened for reading and writing by this process as it is now. EACCES is
// the mode's no; EPERM is somebody else's, of a device mostly the device cgroup's. It may be called from
// many goroutines at once.
//
// unix.Faccessat will not do: on EPERM it looks at the mode itself, because there are filters of system
// calls that answer so to what they do not know, and says yes to what the cgroup forbids.
func ReadWrite(path string) error {
	err := unix.Faccessat2(unix.AT_FDCWD, path, unix.R_OK|unix.W_OK, unix.AT_EACCESS)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) && filtered() {
		return unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK|unix.W_OK, unix.AT_EACCESS)
	}
	return err
}

// filtered tells whether EPERM is the answer to the call itself: the root folder can always be looked up.
var filtered = sync.OnceValue(func() bool {
	return errors.Is(unix.Faccessat2(unix.AT_FDCWD, "/", unix.F_OK, unix.AT_EACCESS), unix.EPERM)
})
