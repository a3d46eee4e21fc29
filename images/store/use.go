package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/4cc2e759/sandbox/internal/usemark"
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

// mark is ErrNotFound where the layer is in no store of the chain, or was taken away meanwhile.
func (s *Store) mark(name string) (int, error) {
	dir, ok := s.findTree(KindLayer, name)
	if !ok {
		return -1, ErrNotFound
	}
	fd, err := usemark.Take(dir)
	switch {
	case errors.Is(err, usemark.ErrGone):
		return -1, ErrNotFound
	case errors.Is(err, usemark.ErrLocked):
		return -1, fmt.Errorf("%s: %w", dir, errLocked)
	}
	return fd, err
}
