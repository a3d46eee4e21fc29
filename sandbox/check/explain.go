package check

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
)

// Step is an error of the kernel's that says what was being done when it came: "clone", "uid map",
// "mount proc". A syscall.Errno has to be in its tree.
type Step interface {
	error
	Step() string
	Unwrap() error
}

// HostError is a refusal of the host with its cause, by name.
type HostError struct {
	Finding Finding
	Err     error // what was refused
}

func (e *HostError) Error() string { return e.Finding.Detail }

func (e *HostError) Unwrap() error { return e.Err }

// Hint is the cure.
func (e *HostError) Hint() string { return e.Finding.Hint }

// Explain is [Options.Explain] for what does not depend on the store.
func Explain(err error) error { return Options{}.Explain(err) }

// Explain looks for the cause of an error that has a [Step] in it, by asking the probes that could
// find it, and returns a [*HostError]. Any other error, and one whose cause is not found, comes back
// as it is.
func (o Options) Explain(err error) error {
	return explain(err, &host{store: o.Store, euid: os.Geteuid()})
}

func explain(err error, h *host) error {
	var step Step
	var errno syscall.Errno
	if !errors.As(err, &step) || !errors.As(step, &errno) || !refusal(errno) {
		return err
	}
	for _, f := range run(context.Background(), h, suspects(step.Step())) {
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

// suspects are the probes to ask about a step, the likeliest cause first in the order of the table.
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
	case has("clone", "fork", "unshare", "userns", "namespace"):
		return base
	case has("uid map", "gid map", "uid_map", "gid_map", "map", "setgroups"):
		return append(base, "apparmor", "uidmap")
	case has("overlay"):
		return append(base, "apparmor", "uidmap", "mount", "store", "overlay")
	case has("seccomp"):
		return []string{"filter"}
	}
	return append(base, "apparmor", "uidmap", "mount", "filter")
}
