package store

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// Use marks layers as used until release is called or the process dies. It is taken before the first
// file of a layer is looked at; a layer that [Store.GC] took meanwhile is ErrNotFound, and is made anew
// by whoever asked. See [Store.UseFiles] for marks that a child keeps.
func (s *Store) Use(names ...string) (release func(), err error) {
	fds, err := s.marks(names)
	if err != nil {
		return nil, err
	}
	return func() {
		closeAll(fds)
		fds = nil
	}, nil
}

// UseFiles is Use that gives the marks as open folders: they hold as long as any process has them open.
// The marks are shared flocks on the layers' own folders, so nothing is written and a store that is
// only readable, or belongs to somebody else, can be marked too.
func (s *Store) UseFiles(names ...string) ([]*os.File, error) {
	fds, err := s.marks(names)
	if err != nil {
		return nil, err
	}
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), names[i])
	}
	return files, nil
}

// marks are plain descriptors: a file that nobody refers to would be closed by the garbage collector,
// and the mark with it.
func (s *Store) marks(names []string) ([]int, error) {
	fds := make([]int, 0, len(names))
	for _, n := range names {
		fd, err := s.mark(n)
		if err != nil {
			closeAll(fds)
			return nil, fmt.Errorf("layer %s: %w", short(n), err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}

// mark waits for a short time only: the exclusive side is held for moments, by a maker that has just
// renamed the layer, and by GC.
func (s *Store) mark(name string) (int, error) {
	dir, ok := s.findTree(Layers, name)
	for end := time.Now().Add(10 * time.Second); ok; {
		fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|openFlags, 0)
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.ENOENT {
			break
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: dir, Err: err}
		}
		err = syscall.Flock(fd, syscall.LOCK_SH|syscall.LOCK_NB)
		switch {
		case err == syscall.ENOLCK || err == syscall.EOPNOTSUPP:
			// A chained store on a shared disk without locks: nobody can mark there, its owner must know.
			return fd, nil
		case err == nil && s.stillThere(fd, dir):
			return fd, nil
		}
		syscall.Close(fd)
		if err == syscall.EWOULDBLOCK && time.Now().After(end) {
			return -1, fmt.Errorf("%s: %w", dir, errLocked)
		}
		if err != nil && err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			return -1, &os.PathError{Op: "lock", Path: dir, Err: err}
		}
		if err == syscall.EWOULDBLOCK {
			time.Sleep(time.Millisecond)
		}
	}
	return -1, ErrNotFound
}

// stillThere: the folder that was locked is the one that has the name. If so the use is noted.
func (s *Store) stillThere(fd int, dir string) bool {
	var st syscall.Stat_t
	fi, err := os.Lstat(dir)
	if err != nil || syscall.Fstat(fd, &st) != nil {
		return false
	}
	if at := fi.Sys().(*syscall.Stat_t); at.Dev != st.Dev || at.Ino != st.Ino {
		return false
	}
	touch(dir, fi)
	return true
}
