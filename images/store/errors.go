package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

var (
	// ErrNotFound: no store of the chain has it. It is fs.ErrNotExist too.
	ErrNotFound error = notFound{}
	// ErrExists: the blob is already there; nothing has to be fetched.
	ErrExists = errors.New("already in the store")
	// ErrReadOnly: the store cannot be written by this user.
	ErrReadOnly = errors.New("the store is read-only")
	// ErrUnchecked says that a check could not be made: nothing is known about what was to be checked.
	ErrUnchecked = errors.New("it could not be checked")
)

type notFound struct{}

func (notFound) Error() string        { return "not in the store" }
func (notFound) Is(target error) bool { return target == fs.ErrNotExist }

// SpaceError is a write that failed because there is no room: on the disk, or in the user's quota.
type SpaceError struct {
	Op, Path string // without Op, Path is the store as a whole
	Quota    bool   // the user's quota, not the disk, is full
	Need     int64  // bytes that were still to be written, at least; 0 if unknown
	Err      error

	Elsewhere bool // it is no disk of a store, so to make room in the store is no help
}

func (e *SpaceError) Error() string {
	what := "no space left on device"
	if e.Quota {
		what = "disk quota exceeded"
	}
	if e.Need > 0 {
		what += ", at least " + amount(e.Need) + " are still to be written"
	}
	if e.Op == "" {
		return what + ": " + e.Path
	}
	return e.Op + " " + e.Path + ": " + what
}

// amount is a number of bytes with its unit.
func amount(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f /= 1024; f < 1024 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// Unwrap gives the error of the system call.
func (e *SpaceError) Unwrap() error { return e.Err }

// Hint says how to make room.
func (e *SpaceError) Hint() string {
	if e.Elsewhere && e.Quota {
		return "free some of your quota, or write to a folder outside of it"
	}
	if e.Elsewhere {
		return "make room on that disk, or write to another"
	}
	if e.Quota {
		return "free some of your quota, run `sandbox gc --older-than 0s`, or set SANDBOX_STORE to a folder outside of the quota"
	}
	return "make room on that disk, run `sandbox gc --older-than 0s`, or set SANDBOX_STORE to a folder on a larger disk"
}

// Space returns err, as a *SpaceError if it says that disk or quota is full.
func Space(err error, op, path string) error {
	var se *SpaceError
	switch {
	case err == nil, errors.As(err, &se):
		return err
	case errors.Is(err, syscall.EDQUOT):
		return &SpaceError{Op: op, Path: path, Quota: true, Err: err}
	case errors.Is(err, syscall.ENOSPC):
		return &SpaceError{Op: op, Path: path, Err: err}
	}
	return err
}

// FilesystemError is a store on a file system that it cannot work on.
type FilesystemError struct {
	Path, Type string
	Missing    string // what it lacks; "" = it is one of many machines, without locks between them
	Usable     bool   // all the same, for most things
}

func (e *FilesystemError) Error() string {
	if e.Usable {
		return fmt.Sprintf("the store is on %s, which has no %s: images that hide folders of their own lower layers cannot be unpacked there: %s", e.Type, e.Missing, e.Path)
	}
	if e.Missing != "" {
		return fmt.Sprintf("the store cannot be on %s, which has no %s: %s", e.Type, e.Missing, e.Path)
	}
	return fmt.Sprintf("the store cannot be on %s, which does not keep its locks: %s", e.Type, e.Path)
}

// Hint says where the store can be.
func (e *FilesystemError) Hint() string {
	return "set SANDBOX_STORE to a folder on a local disk, for example SANDBOX_STORE=/var/tmp/$USER/sandbox"
}

// DigestError is content that is not what its name says.
type DigestError struct{ Want, Got Digest }

func (e *DigestError) Error() string {
	return fmt.Sprintf("content does not match its digest: want %s, got %s", e.Want, e.Got)
}

// SizeError is content that is shorter or longer than announced.
type SizeError struct {
	Digest    Digest
	Want, Got int64
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s has a wrong size: want %d bytes, got %d", e.Digest, e.Want, e.Got)
}
