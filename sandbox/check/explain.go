package check

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/sandbox/start"
)

// HostError is a refusal of the host with its cause, by name.
type HostError struct {
	Finding Finding
	Err     error // what was refused
}

func (e *HostError) Error() string { return e.Finding.Detail }

func (e *HostError) Unwrap() error { return e.Err }

// Hint is the cure.
func (e *HostError) Hint() string { return e.Finding.Hint }

// Explain looks for the cause of a [*start.Error] in err, by asking the probes that could find it, and
// returns a [*HostError]. Any other error, and one whose cause is not found, comes back as it is.
func Explain(err error) error {
	var e *start.Error
	if !errors.As(err, &e) || e.Op == start.OpExec || !refusal(e.Errno) {
		return err
	}
	h := &host{euid: os.Geteuid()}
	if strings.Contains(e.Op, "overlay") {
		h.store = filepath.Dir(e.Path) // of the upper layer
	}
	for _, f := range run(context.Background(), h, suspects(e.Op)) {
		if f.Status == Fail {
			return &HostError{Finding: f, Err: err}
		}
	}
	return err
}

// refusal reports whether an errno can come from how the host is set up, and not only from what was
// asked: a file that is missing is no reason to suspect the kernel.
func refusal(e syscall.Errno) bool {
	switch e {
	case syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.ENOSPC, syscall.ENOSYS, syscall.EUSERS, syscall.ENODEV, syscall.EOPNOTSUPP:
		return true
	}
	return false
}

// suspects are the probes to ask about a step of the start.
func suspects(step string) []string {
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(strings.ToLower(step), w) {
				return true
			}
		}
		return false
	}
	base := []string{"kernel", "limit", "sysctl", "chroot", "unmapped", "userns"}
	switch {
	case has("clone", "namespace"):
		return base
	case has("id map", "drop groups"):
		return append(base, "apparmor", "uidmap")
	case has("overlay"):
		return append(base, "apparmor", "uidmap", "mount", "store", "overlay")
	case has("seccomp"):
		return []string{"filter"}
	}
	return append(base, "apparmor", "uidmap", "mount", "filter")
}
