package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/4cc2e759/sandbox/internal/rmtree"
)

// temp is a file or folder in tmp/ whose lock says that its maker is alive.
type temp struct {
	path string
	lock *os.File
}

// close removes what is still there under the temporary name, then gives up the lock.
func (t *temp) close() {
	RemoveAll(t.path)
	t.lock.Close()
}

// closeSoon is close for a process that is told to end: what takes longer to remove than a moment is left to the
// next Open, as if the process had been killed.
func (t *temp) closeSoon() {
	rmtree.RemoveWhile(t.path, moment())
	t.lock.Close()
}

// moment is true for a second: what nobody asked for is not waited for longer.
func moment() (goOn func() bool) {
	end := time.Now().Add(time.Second)
	return func() bool { return time.Now().Before(end) }
}

func (s *Store) tempFile(pattern string) (*temp, error) {
	return s.temp("create", pattern, os.O_RDWR, func(path string) error {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|openFlags, 0o600)
		if err != nil {
			return err
		}
		return f.Close()
	})
}

func (s *Store) tempDir(pattern string) (*temp, error) {
	return s.temp("mkdir", pattern, os.O_RDONLY|syscall.O_DIRECTORY, func(path string) error { return os.Mkdir(path, 0o700) })
}

// temp makes a new name and locks it. Between the two steps removeStale of another process may take it
// for a dead one's; then its lock or its absence is noticed here and another name is made.
func (s *Store) temp(op, pattern string, flags int, create func(path string) error) (*temp, error) {
	if len(pattern) > 80 {
		pattern = pattern[:80]
	}
	for range 100 {
		path := s.Path(Temp, fmt.Sprintf("%s-%016x", pattern, rand.Uint64()))
		err := s.step(op, path, func() error { return create(path) })
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f, err := tryLock(path, flags, syscall.LOCK_EX)
		switch {
		case err == nil:
			return &temp{path, f}, nil
		case errors.Is(err, os.ErrNotExist), errors.Is(err, errLocked):
			continue
		}
		os.Remove(path)
		return nil, err
	}
	return nil, fmt.Errorf("no free name in %s", s.Path(Temp))
}

// TempDir makes an empty folder (0700) on the store's file system. cleanup removes it with everything
// in it; after a crash the next [Open] does.
func (s *Store) TempDir(pattern string) (path string, cleanup func(), err error) {
	t, err := s.tempDir(pattern)
	if err != nil {
		return "", nil, err
	}
	return t.path, t.close, nil
}

// removeStale removes what dead processes left in tmp/, everything whose lock is free, as long as goOn says so. What is
// left then is for the next one, in parts.
func (s *Store) removeStale(goOn func() bool) {
	d, err := os.Open(s.Path(Temp))
	if err != nil {
		return
	}
	defer d.Close()
	for goOn() {
		names, _ := d.Readdirnames(1024)
		if len(names) == 0 {
			return
		}
		for _, n := range names {
			if !goOn() {
				return
			}
			s.removeIfStale(s.Path(Temp, n), goOn)
		}
	}
}

func (s *Store) removeIfStale(path string, goOn func() bool) {
	f, err := tryLock(path, os.O_RDONLY, syscall.LOCK_EX)
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := rmtree.RemoveWhile(path, goOn); err != nil && !errors.Is(err, rmtree.ErrStopped) {
		s.log.Warn("cannot remove what a killed process left", "path", path, "err", err)
	}
}
