// Package rmtree removes folder trees that strangers' code has left behind: folders without any
// permission, links in the place of folders, depths that no path can name. Use [Remove]; store and the
// sandboxes on disk are emptied by it.
package rmtree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Remove removes path and everything below it, also folders without any permission that belong to
// the caller, and says how many bytes of disk that gave back: those of files whose last name it was.
// It works by descriptor, never follows a link, and needs a bounded number of descriptors however deep
// the tree is. A path that is not there is no error.
func Remove(path string) (int64, error) { return RemoveWhile(path, nil) }

// ErrStopped is what is in the tree of [RemoveWhile]'s error when it was told to stop.
var ErrStopped = errors.New("not all is removed")

// RemoveWhile is Remove that asks now and then whether to go on; what is left when it stops is there still, in
// parts.
func RemoveWhile(path string, goOn func() bool) (int64, error) {
	return new(Together).RemoveWhile(path, goOn)
}

// Together is for several removals at once of trees that share files by hard links: bytes that only the last
// name gives back are counted by one of them. The zero value is ready; it is safe for concurrent use.
type Together struct{ linked sync.Mutex }

// RemoveWhile is [RemoveWhile].
func (t *Together) RemoveWhile(path string, goOn func() bool) (int64, error) {
	parent, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return 0, nil
	}
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	defer unix.Close(parent)
	r := remover{goOn: goOn, linked: &t.linked}
	r.remove(parent, filepath.Base(path), 0, -1)
	if r.err != nil {
		return r.freed, fmt.Errorf("remove %s: %w", path, r.err)
	}
	return r.freed, nil
}

// Folders deeper than this are first moved up, so that neither descriptors nor stack run out.
const removeDepth = 24

type remover struct {
	freed int64
	moved int   // numbers the names of folders that were moved up
	count int   // what is gone from where it was: as long as it grows, another round helps
	err   error // the first one; the rest is still removed

	linked  *sync.Mutex // held while a file with several names loses one
	goOn    func() bool // nil: always
	stopped bool
}

func (r *remover) over() bool {
	if !r.stopped && r.goOn != nil && r.count%64 == 0 && !r.goOn() {
		r.stopped, r.err = true, ErrStopped
	}
	return r.stopped
}

func (r *remover) fail(name string, err error) {
	if r.err == nil && err != nil && err != unix.ENOENT {
		r.err = &os.PathError{Op: "unlink", Path: name, Err: err}
	}
}

// remove deletes name in dir. top is the outermost folder of this removal.
func (r *remover) remove(dir int, name string, depth, top int) {
	if r.over() {
		return
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		r.fail(name, err)
		return
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		r.unlink(dir, name, &st)
		return
	}
	fd, err := openForRemoval(dir, name, st.Mode)
	if err != nil {
		r.fail(name, err)
		return
	}
	if depth > removeDepth {
		unix.Close(fd)
		r.moveUp(dir, name, top)
		return
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if top < 0 {
		top = fd
	}
	for {
		before := r.count
		r.empty(f, depth, top)
		if r.stopped {
			return
		}
		err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		if err == nil {
			r.count++
			r.freed += st.Blocks * 512
			return
		}
		// Moved folders turn up in the outermost one behind the place that has been read.
		if err != unix.ENOTEMPTY || r.count == before {
			r.fail(name, err)
			return
		}
		f.Seek(0, 0)
	}
}

func (r *remover) unlink(dir int, name string, st *unix.Stat_t) {
	if st.Nlink > 1 {
		r.linked.Lock()
		defer r.linked.Unlock()
		if err := unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			r.fail(name, err)
			return
		}
	}
	if err := unix.Unlinkat(dir, name, 0); err != nil {
		r.fail(name, err)
		return
	}
	r.count++
	if st.Nlink == 1 {
		r.freed += st.Blocks * 512
	}
}

// moveUp puts a folder into the outermost one, under a name that is not taken.
func (r *remover) moveUp(dir int, name string, top int) {
	for {
		r.moved++
		err := unix.Renameat2(dir, name, top, ".remove-"+strconv.Itoa(r.moved), unix.RENAME_NOREPLACE)
		switch err {
		case unix.EEXIST:
			continue
		case nil:
			r.count++
		}
		r.fail(name, err)
		return
	}
}

func (r *remover) empty(f *os.File, depth, top int) {
	for {
		names, _ := f.Readdirnames(4096)
		if len(names) == 0 || r.stopped {
			return
		}
		for _, n := range names {
			r.remove(int(f.Fd()), n, depth+1, top)
		}
	}
}

// openForRemoval opens a folder, after giving its owner the right to if need be.
func openForRemoval(dir int, name string, mode uint32) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if mode&0o700 == 0o700 {
		fd, err := unix.Openat(dir, name, flags, 0)
		if err != unix.EACCES {
			return fd, err
		}
	}
	p, err := unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(p)
	// fchmod refuses O_PATH; by way of proc it reaches this very folder, whatever its name is by now.
	if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(p), 0o700); err != nil && err != unix.EPERM {
		return -1, err
	}
	return unix.Openat(dir, name, flags, 0)
}
