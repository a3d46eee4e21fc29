package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Use marks layers as used until release is called or the process dies. It is taken before the first
// file of a layer is looked at; a layer that [Store.GC] took meanwhile is ErrNotFound, and is made anew
// by whoever asked. See [Store.UseFiles] for marks that a child keeps.
func (s *Store) Use(names ...string) (release func(), err error) {
	files, err := s.UseFiles(names...)
	if err != nil {
		return nil, err
	}
	return func() {
		for _, f := range files {
			f.Close()
		}
	}, nil
}

// UseFiles is Use that gives the marks as open folders: they hold as long as any process has them open.
// The marks are shared flocks on the layers' own folders, so nothing is written and a store that is
// only readable, or belongs to somebody else, can be marked too.
func (s *Store) UseFiles(names ...string) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			files = nil
		}
	}()
	for _, n := range names {
		f, err := s.use(n)
		if err != nil {
			return files, fmt.Errorf("layer %s: %w", short(n), err)
		}
		files = append(files, f)
	}
	return files, nil
}

func (s *Store) use(name string) (*os.File, error) {
	dir, ok := s.findTree(Layers, name)
	if !ok {
		return nil, ErrNotFound
	}
	// The exclusive side is held for moments only: by a maker that has just renamed it, and by GC.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	f, err := lock(ctx, dir, os.O_RDONLY|syscall.O_DIRECTORY, syscall.LOCK_SH, nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNotFound
	case errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.EOPNOTSUPP):
		// A chained store on a shared disk without locks: nobody can mark there, its owner must know.
		return os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|openFlags, 0)
	case err != nil:
		return nil, err
	}
	if fi, err := f.Stat(); err == nil {
		touch(dir, fi)
	}
	return f, nil
}
