package store

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/4cc2e759/sandbox/internal/lockfile"
)

const openFlags = syscall.O_CLOEXEC | syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// errLocked: somebody else has the lock.
var errLocked = errors.New("locked by another process")

func flock(f *os.File, how int) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err {
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return errLocked
		default:
			return err
		}
	}
}

// tryLock opens path and locks it. The lock counts only if path still names the file that was locked:
// whoever had it before may have renamed or removed it; then fs.ErrNotExist or a fresh try.
func tryLock(path string, flags, how int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, flags|openFlags, 0o600)
		if err != nil {
			return nil, err
		}
		if err := flock(f, how); err != nil {
			f.Close()
			return nil, err
		}
		same, err := lockfile.Names(path, f)
		if same {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// lock is tryLock that waits. waited is called once if there was something to wait for.
func lock(ctx context.Context, path string, flags, how int, waited func()) (*os.File, error) {
	pause := time.Millisecond
	for {
		f, err := tryLock(path, flags, how)
		if !errors.Is(err, errLocked) {
			return f, err
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
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// nameLock serialises the makers of one name. Its file is removed by whoever holds it, so that the
// locks folder does not fill up.
type nameLock struct{ f *os.File }

func (s *Store) lockName(ctx context.Context, name, what string) (*nameLock, error) {
	path := s.Path(Locks, name)
	var f *os.File
	err := s.step("lock", path, func() (err error) {
		f, err = lock(ctx, path, os.O_RDWR|os.O_CREATE, syscall.LOCK_EX, s.waited(what))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &nameLock{f}, nil
}

func (l *nameLock) release() {
	os.Remove(l.f.Name())
	l.f.Close()
}
