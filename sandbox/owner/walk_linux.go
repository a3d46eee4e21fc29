package owner

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/lend"
)

// A Visit is called for everything in a tree, also its top (path ""); folders come before what they hold.
// The entry is reachable as at, without following a link at its end, until Visit returns. If that is
// [fs.SkipDir], which a removed folder needs, what the folder holds is left out.
type Visit func(at, path string, st *unix.Statx_t) error

const (
	maxDepth = 4096 // a path has at most 4096 bytes, but folders can be moved into each other
	wanted   = unix.STATX_TYPE | unix.STATX_MODE | unix.STATX_INO | unix.STATX_CTIME | unix.STATX_BTIME | unix.STATX_MTIME | unix.STATX_SIZE
)

// Walk visits a tree that nobody else changes. Nothing is followed: the tree was written by strangers. What its
// owner may not read is read nevertheless: it has the permission for that moment, see package lend. Where Visit
// fails for lack of a permission it is called again with it.
func Walk(top string, f Visit) error {
	fd, err := unix.Open(top, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: top, Err: err}
	}
	t, err := lend.New(fd, top)
	if err != nil {
		unix.Close(fd)
		return err
	}
	defer t.Close()
	w := &walker{t: t, f: f, super: os.Geteuid() == 0}
	var st unix.Statx_t
	err = t.Look(context.Background(), fd, "", func() error {
		return unix.Statx(fd, "", unix.AT_EMPTY_PATH, wanted, &st)
	})
	if err != nil {
		unix.Close(fd)
		return &os.PathError{Op: "statx", Path: top, Err: err}
	}
	if err := f(self(fd)+"/.", "", &st); err != nil { // as a link it would have no attributes
		unix.Close(fd)
		return err
	}
	return w.dir(fd, "", st.Mode, 0)
}

func self(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// atOnce is how many names of a folder are looked at under one lock.
const atOnce = 64

type walker struct {
	t     *lend.Tree
	f     Visit
	super bool // modes do not stop us
}

// dir closes fd, a folder of this mode.
func (w *walker) dir(fd int, dir string, mode uint16, depth int) error {
	d := os.NewFile(uintptr(fd), dir)
	defer d.Close()
	if depth > maxDepth {
		return &os.PathError{Op: "open", Path: dir, Err: unix.ELOOP}
	}
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	seen := make([]unix.Statx_t, min(len(names), atOnce))
	for some := range slices.Chunk(names, atOnce) {
		err := w.t.Look(context.Background(), fd, dir, func() error {
			for i, name := range some {
				if err := unix.Statx(fd, name, unix.AT_SYMLINK_NOFOLLOW, wanted, &seen[i]); err != nil {
					return &os.PathError{Op: "statx", Path: path.Join(dir, name), Err: err}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i, name := range some {
			if err := w.name(fd, mode, path.Join(dir, name), &seen[i], depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) name(dir int, mode uint16, full string, st *unix.Statx_t, depth int) error {
	name, sub := path.Base(full), -1
	err := w.lent(dir, mode, full, st, func() (err error) {
		if err := w.f(self(dir)+"/"+name, full, st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return err
		}
		if sub, err = unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0); err != nil {
			err = &os.PathError{Op: "open", Path: full, Err: err}
		}
		return err
	})
	switch {
	case err == nil && sub >= 0:
		return w.dir(sub, full, st.Mode, depth+1)
	case sub >= 0:
		unix.Close(sub)
	case err == fs.SkipDir:
		return nil
	}
	return err
}

// lent calls visit. If modes keep the owner from reading, or visit from what it does, they have the permissions.
func (w *walker) lent(dir int, mode uint16, full string, st *unix.Statx_t, visit func() error) error {
	read, all := uint16(0), uint32(0)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		read, all = 0o400, 0o600
	case unix.S_IFDIR:
		read, all = 0o500, 0o700
	}
	if w.super || mode&0o100 != 0 && st.Mode&read == read {
		if err := visit(); w.super || !errors.Is(err, unix.EACCES) {
			return err
		}
	}
	return w.t.With(context.Background(), dir, 0o700, full, all, visit)
}
