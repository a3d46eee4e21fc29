//go:build unix

// Package usemark marks a layer's folder as used while something runs on it. Use [Take]: the mark is a
// shared flock on the folder itself, so nothing is written, a store that is only readable can be
// marked too, and the mark ends with the last process that has the folder open. Whoever wants to
// remove a layer takes the same lock exclusively first.
package usemark

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// ErrGone says that the folder is not there, or was taken away before it could be marked.
var ErrGone = errors.New("layer is gone")

// ErrLocked says that somebody has held the exclusive side for longer than any use of it takes.
var ErrLocked = errors.New("locked by another process")

// wait bounds how long Take waits: the exclusive side is held for moments, by a maker that has just
// renamed the layer, and by gc.
const wait = 10 * time.Second

// touchAfter: a use is written to the disk only where the last known one is older than this.
const touchAfter = 12 * time.Hour

// Take marks dir and gives the descriptor that holds the mark; closing it ends it. It is a plain
// descriptor: a file that nobody refers to would be closed by the garbage collector, and the mark with
// it.
func Take(dir string) (int, error) {
	for end := time.Now().Add(wait); ; {
		fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.ENOENT {
			return -1, ErrGone
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: dir, Err: err}
		}
		err = syscall.Flock(fd, syscall.LOCK_SH|syscall.LOCK_NB)
		switch {
		case err == syscall.ENOLCK || err == syscall.EOPNOTSUPP:
			// A chained store on a shared disk without locks: nobody can mark there, its owner must know.
			return fd, nil
		case err == nil && stillThere(fd, dir):
			return fd, nil
		}
		syscall.Close(fd)
		if err == syscall.EWOULDBLOCK && time.Now().After(end) {
			return -1, fmt.Errorf("%s: %w", dir, ErrLocked)
		}
		if err != nil && err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			return -1, &os.PathError{Op: "lock", Path: dir, Err: err}
		}
		if err == syscall.EWOULDBLOCK {
			time.Sleep(time.Millisecond)
		}
	}
}

// stillThere: the folder that was locked is the one that has the name. If so the use is noted.
func stillThere(fd int, dir string) bool {
	var st syscall.Stat_t
	fi, err := os.Lstat(dir)
	if err != nil || syscall.Fstat(fd, &st) != nil {
		return false
	}
	if at := fi.Sys().(*syscall.Stat_t); at.Dev != st.Dev || at.Ino != st.Ino {
		return false
	}
	Touch(dir, fi)
	return true
}

// Touch notes a use of path, whose state is fi, for gc: the modification time is when it was last used,
// within half a day. A path that cannot be written is left alone.
func Touch(path string, fi fs.FileInfo) {
	if now := time.Now(); now.Sub(fi.ModTime()) > touchAfter {
		os.Chtimes(path, time.Time{}, now)
	}
}
