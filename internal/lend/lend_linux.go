package lend

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Tree is a tree of files, most often fs/ of a layer, in which permissions are lent. One Tree serves one
// goroutine; there can be any number for the same files, in any number of processes.
type Tree struct {
	root  int    // fs/, which is locked
	rootU uint32 // whose it is
	up    int    // the folder that fs/ is in, O_PATH
	dir   string // its path, for messages
	base  string // the name of fs/ in it
	super bool   // modes do not stop us
}

// New takes the tree at path, which is open as root.
func New(root int, path string) (*Tree, error) {
	real, err := filepath.Abs(path)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: real, Err: err}
	}
	up, err := unix.Open(filepath.Dir(real), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: filepath.Dir(real), Err: err}
	}
	return &Tree{root: root, rootU: st.Uid, up: up, dir: filepath.Dir(real), base: filepath.Base(real), super: os.Geteuid() == 0}, nil
}

// Close does not close root.
func (t *Tree) Close() { unix.Close(t.up) }

// lock waits for the tree's lock, but not longer than ctx: whoever has it may have been stopped.
func (t *Tree) lock(ctx context.Context, how int) error {
	pause := 50 * time.Microsecond
	for {
		switch err := unix.Flock(t.root, how|unix.LOCK_NB); err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
		default:
			return nil // a shared disk without locks
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}

func (t *Tree) unlock() { unix.Flock(t.root, unix.LOCK_UN) }

// Look calls f, which looks at what is in the folder dir, while nothing in the tree is lent. path is the
// folder's in the tree. f is called again if the folder keeps its owner out.
func (t *Tree) Look(ctx context.Context, dir int, path string, f func() error) error {
	for {
		if err := t.lock(ctx, unix.LOCK_SH); err != nil {
			return err
		}
		if t.left() {
			t.unlock()
			if err := t.Alone(ctx, func(*Session) error { return nil }); err != nil {
				return err
			}
			continue
		}
		err := f()
		t.unlock()
		if t.super || !errors.Is(err, unix.EACCES) {
			return err
		}
		return t.Alone(ctx, func(s *Session) error {
			if err := s.Lend(dir, t.Below(path), 0o100); err != nil {
				return err
			}
			return f()
		})
	}
}

// Open opens what is called path, in the folder dir, and calls f with it, with the owner's permissions
// need. f is called again if it fails for lack of them; the descriptor is the last one.
func (t *Tree) Open(ctx context.Context, dir int, path string, flags int, need uint32, f func(fd int) error) (int, error) {
	_, name := split(path)
	flags |= unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := openFor(dir, name, flags, f)
	if t.super || !errors.Is(err, unix.EACCES) {
		return fd, err
	}
	err = t.With(ctx, dir, 0o100, path, need, func() error {
		fd, err = openFor(dir, name, flags, f)
		return err
	})
	return opened(fd, err)
}

// With calls f while the folder dir has the owner's permissions dirNeed, and what is called path, in that folder,
// has need.
func (t *Tree) With(ctx context.Context, dir int, dirNeed uint32, path string, need uint32, f func() error) error {
	up, name := split(path)
	return t.Alone(ctx, func(s *Session) error {
		if err := s.Lend(dir, t.Below(up), dirNeed); err != nil {
			return err
		}
		p, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(p)
		if err := s.Lend(p, t.Below(path), need); err != nil {
			return err
		}
		return f()
	})
}

func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

func openFor(dir int, name string, flags int, f func(fd int) error) (int, error) {
	fd, err := unix.Openat(dir, name, flags, 0)
	if err != nil {
		return -1, err
	}
	if err := f(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// opened closes what was opened before something else failed.
func opened(fd int, err error) (int, error) {
	if err != nil && fd >= 0 {
		unix.Close(fd)
		fd = -1
	}
	return fd, err
}

// Path opens a file for reading by its path below the folder that the tree is in, by means of open, which is called
// again if it fails for lack of permission. An error of the file itself is as open gave it, or a bare number.
func (t *Tree) Path(ctx context.Context, name string, open func(up int, name string) (int, error)) (int, error) {
	fd, err := open(t.up, name)
	if t.super || !errors.Is(err, unix.EACCES) {
		return fd, err
	}
	err = t.Alone(ctx, func(s *Session) error {
		p, err := s.Reach(name)
		if err != nil {
			return err
		}
		defer unix.Close(p)
		if err := s.Lend(p, name, 0o400); err != nil {
			return err
		}
		fd, err = open(t.up, name)
		return err
	})
	return opened(fd, err)
}

// Below is the path, which begins in the tree, as it begins in the folder that the tree is in.
func (t *Tree) Below(path string) string {
	return strings.TrimSuffix(t.base+"/"+path, "/")
}

// Alone calls f while nobody else reads a mode in the tree. What a killed process left is put right
// first.
func (t *Tree) Alone(ctx context.Context, f func(*Session) error) (err error) {
	if err := t.lock(ctx, unix.LOCK_EX); err != nil {
		return err
	}
	defer t.unlock()
	if t.left() {
		if err := t.recover(); err != nil {
			return t.fail("put back the modes that a killed process had changed", err)
		}
	}
	s := &Session{t: t, record: -1}
	err = f(s)
	if e := s.end(); e != nil && err == nil {
		err = t.fail("put back a mode", e)
	}
	return err
}

func (t *Tree) fail(op string, err error) error {
	return &Error{Op: op, Path: filepath.Join(t.dir, t.record()), Err: err}
}
