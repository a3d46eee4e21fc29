//go:build unix

// Package lockfile is advisory file locks that die with their process: flock on an open file, no
// pids and no time-outs. Use [Lock] to wait for a lock and [TryLock] to ask for it.
//
// Locks hold between processes and between calls in one process. They do not hold on network file
// systems that lack flock; the store refuses those before it locks anything.
package lockfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// ErrLocked is what [TryLock] returns when somebody else has the lock.
var ErrLocked = errors.New("locked by another process")

// File is a held lock. Close releases it.
type File struct{ f *os.File }

// Close releases the lock. The file stays; who holds the lock may remove it.
func (l *File) Close() error { return l.f.Close() }

// Mode is how a lock is shared.
type Mode int

// A lock has one Exclusive holder or many Shared ones.
const (
	Shared    Mode = syscall.LOCK_SH
	Exclusive Mode = syscall.LOCK_EX
)

// TryLock takes the lock on path at once, making the file if need be, or returns ErrLocked. The lock counts only if
// path still names the file that was locked: whoever had it before, or collects lock files, may have removed it
// between the open and the flock, and the next one would lock another file.
func TryLock(path string, m Mode) (*File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		named, err := take(path, f, m)
		switch {
		case named:
			return &File{f}, nil
		case err == nil: // it has another file by now, or none
			f.Close()
			continue
		}
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
}

// take locks f, and is false if path is not its name any more.
func take(path string, f *os.File, m Mode) (bool, error) {
	err := error(syscall.EINTR)
	for err == syscall.EINTR {
		err = syscall.Flock(int(f.Fd()), int(m)|syscall.LOCK_NB)
	}
	if err != nil {
		return false, err
	}
	return Names(path, f)
}

// Names says whether path is the open file f. It is an error only if it cannot be known; a path that is gone or
// another file is just false, and whoever has locked f opens path again.
func Names(path string, f *os.File) (bool, error) {
	a, err := f.Stat()
	if err != nil {
		return false, err
	}
	b, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(a, b), err
}

// Lock takes the lock on path, waiting until it is free or ctx ends. waited, if not nil, is called
// once if the lock was not free at once.
func Lock(ctx context.Context, path string, m Mode, waited func()) (*File, error) {
	pause := 2 * time.Millisecond
	for {
		l, err := TryLock(path, m)
		if !errors.Is(err, ErrLocked) {
			return l, err
		}
		if waited != nil {
			waited()
			waited = nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		if pause < 100*time.Millisecond {
			pause *= 2
		}
	}
}
