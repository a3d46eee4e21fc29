package layer

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lender opens what belongs to the caller but has a mode that keeps its owner out, as /etc/shadow and
// programs of mode 4111 in some images: it lends a permission for the moment of the open, or for a
// folder as long as it is worked on. Only one process does so in a tree at a time, else one would take
// the lent mode of the other for the true one.
type lender struct {
	root  int // of the tree; its lock is taken
	held  int
	super bool // modes do not stop us
}

func newLender(root int) *lender { return &lender{root: root, super: os.Geteuid() == 0} }

func (l *lender) lock() {
	if l.held++; l.held == 1 {
		for unix.Flock(l.root, unix.LOCK_EX) == unix.EINTR {
		}
	}
}

func (l *lender) unlock() {
	if l.held--; l.held == 0 {
		unix.Flock(l.root, unix.LOCK_UN)
	}
}

func nothing() {}

// file opens a file.
func (l *lender) file(dir int, name string, flags int) (int, error) {
	fd, done, err := l.open(dir, name, flags, 0o600)
	if err == nil {
		done()
	}
	return fd, err
}

// dir opens a folder, which can be read and searched until done is called.
func (l *lender) dir(dir int, name string, flags int) (fd int, done func(), err error) {
	return l.open(dir, name, flags|unix.O_DIRECTORY, 0o700)
}

func (l *lender) open(dir int, name string, flags int, need uint32) (int, func(), error) {
	flags |= unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, name, flags, 0)
	if l.super || err != nil && err != unix.EACCES {
		return fd, nothing, err
	}
	if err == nil {
		if need == 0o600 || mode(fd)&0o500 == 0o500 {
			return fd, nothing, nil
		}
		unix.Close(fd)
	}
	p, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, nil, err
	}
	l.lock()
	old := mode(p)
	// fchmod refuses O_PATH; by way of proc it reaches this very file.
	path := "/proc/self/fd/" + strconv.Itoa(p)
	done := func() {
		unix.Chmod(path, old&0o7777)
		unix.Close(p)
		l.unlock()
	}
	if old&unix.S_IFMT == unix.S_IFLNK {
		err = unix.ELOOP
	} else if err = unix.Chmod(path, old&0o7777|need); err == nil {
		fd, err = unix.Openat(dir, name, flags, 0)
	}
	if err != nil {
		done()
		return -1, nil, err
	}
	return fd, done, nil
}

func mode(fd int) uint32 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Mode
}

// path opens a file by its path below the root; no component may be a link.
func (l *lender) path(name string, flags int) (int, error) {
	fd, err := openBeneath(l.root, name, flags)
	if err != unix.EACCES || l.super {
		return fd, err
	}
	cur, rest := l.root, name
	var undo []func()
	defer func() {
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
	}()
	for {
		c, tail, more := strings.Cut(rest, "/")
		if !more {
			return l.file(cur, c, flags)
		}
		fd, done, err := l.dir(cur, c, unix.O_RDONLY)
		if err != nil {
			return -1, err
		}
		undo = append(undo, func() { done(); unix.Close(fd) })
		cur, rest = fd, tail
	}
}
