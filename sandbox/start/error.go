package start

import (
	"fmt"
	"strings"
	"syscall"
)

// Error is a step of the start that failed. Nothing of the sandbox is left.
type Error struct {
	Op    string // "clone", "id map", "mount overlay", "bind", … or [OpExec]
	Kind  string // kind of the operation in the spec, or root, ids, process, exec
	Path  string // what it was done to; for [OpExec] the file that was tried, or the name
	Errno syscall.Errno
	Why   string // who asked for it: "sandbox.toml: mounts.data"; for [OpExec] what is wrong with the file
}

// OpExec is the Op of an error whose sandbox was complete but whose program could not be executed.
const OpExec = "execute"

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Path != "" {
		b.WriteString(" " + e.Path)
	}
	if e.Op == OpExec && e.Why != "" {
		fmt.Fprintf(&b, ": %s", e.Why)
		return b.String()
	}
	if e.Why != "" {
		fmt.Fprintf(&b, " (%s)", e.Why)
	}
	if e.Kind == "bind" && e.Errno == syscall.EXDEV { // what openat2 says of a link that leads elsewhere
		b.WriteString(": leads out of the folder that it has to be in")
	} else {
		fmt.Fprintf(&b, ": %s", e.Errno.Error())
	}
	return b.String()
}

// Unwrap gives the errno, so that errors.Is(err, fs.ErrNotExist) works. ENOSPC is a full disk only where
// the writable layer is mounted: elsewhere the kernel says so of a limit, as user.max_user_namespaces.
func (e *Error) Unwrap() error {
	if e.Errno == syscall.ENOSPC && e.Op != opOverlay {
		return nil
	}
	return e.Errno
}

const opOverlay = "mount overlay"

// Step is what was being done, for those who look for the cause in the host.
func (e *Error) Step() string { return e.Op }

// Status is the exit code for this error: 127 when the program was not found, 126 when it cannot be
// executed, 125 for everything that is ours.
func (e *Error) Status() int {
	switch {
	case e.Op != OpExec:
		return 125
	case e.Errno == syscall.ENOENT && e.Why == notFound:
		return 127
	}
	return 126
}

const notFound = "not found in the sandbox"

// Exit is how the program ended.
type Exit struct {
	Code   int            // its exit code, if no signal ended it
	Signal syscall.Signal // 0, or the signal that ended it
}

// Status is the exit code as a shell gives it: 128+n after signal n.
func (e Exit) Status() int {
	if e.Signal != 0 {
		return 128 + int(e.Signal)
	}
	return e.Code
}
