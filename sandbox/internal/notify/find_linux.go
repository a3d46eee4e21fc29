package notify

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/internal/seccomp"
	"github.com/4cc2e759/sandbox/sandbox/owner"
)

// wish is a chown that was understood.
type wish struct {
	fd       int // O_PATH of the inode, or -1: nothing of ours is meant
	uid, gid int
	path     string // /proc/self/fd/N
	st       unix.Statx_t
	has      owner.Owner // the attribute's
	known    bool        // there is one
}

// find opens what a call means. No error and no descriptor is a call that cannot be followed, as through
// another task's /proc: it succeeds without effect.
func (s *Server) find(n *notification, call seccomp.Call) (*wish, syscall.Errno) {
	a := n.args
	w := &wish{fd: -1}
	dir, flags := int32(unix.AT_FDCWD), 0
	at := a[0]
	switch call.Does {
	case seccomp.Fchown:
		w.uid, w.gid = call.ID(a[1]), call.ID(a[2])
		return w, s.descriptor(n, w, int32(a[0]))
	case seccomp.Fchownat:
		dir, at, flags = int32(a[0]), a[1], int(int32(a[4]))
		w.uid, w.gid = call.ID(a[2]), call.ID(a[3])
		if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
			return w, unix.EINVAL
		}
	default:
		w.uid, w.gid = call.ID(a[1]), call.ID(a[2])
		if call.Does == seccomp.Lchown {
			flags = unix.AT_SYMLINK_NOFOLLOW
		}
	}
	path := ""
	if at != 0 || flags&unix.AT_EMPTY_PATH == 0 {
		var buf [unix.PathMax]byte
		var e syscall.Errno
		if path, e = readPath(n.pid, at, &buf); e != 0 {
			return w, unreadable(e)
		}
	}
	if path == "" {
		if flags&unix.AT_EMPTY_PATH == 0 {
			return w, unix.ENOENT
		}
		return w, s.descriptor(n, w, dir)
	}
	return w, s.path(n, w, dir, path, flags&unix.AT_SYMLINK_NOFOLLOW == 0)
}

// unreadable is the answer about memory that cannot be read. Of a task that the kernel protects from us (a
// program that nobody may read) nothing can be known.
func unreadable(e syscall.Errno) syscall.Errno {
	if e == unix.EPERM || e == unix.ESRCH {
		return 0
	}
	return e
}

// ofTask opens a link of a task's folder in /proc: fd/N, cwd, root.
func (s *Server) ofTask(n *notification, name string) (int, syscall.Errno) {
	fd, err := unix.Openat(s.proc, strconv.FormatUint(uint64(n.pid), 10)+"/"+name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err.(syscall.Errno)
	}
	return fd, 0
}

// descriptor opens what a descriptor of the task is open on.
func (s *Server) descriptor(n *notification, w *wish, fd int32) syscall.Errno {
	name := "cwd"
	if fd != unix.AT_FDCWD {
		if fd < 0 {
			return unix.EBADF
		}
		name = "fd/" + strconv.Itoa(int(fd))
	}
	got, e := s.ofTask(n, name)
	switch {
	case e == unix.ENOENT:
		return unix.EBADF
	case e != 0:
		return 0
	case !s.valid(n):
		unix.Close(got)
		return 0 // nobody hears it
	}
	w.fd = got
	return 0
}

// path opens what a path means to the task.
func (s *Server) path(n *notification, w *wish, dir int32, path string, follow bool) syscall.Errno {
	from := "cwd"
	if path[0] == '/' {
		from = "root"
	} else if dir != unix.AT_FDCWD {
		if dir < 0 {
			return unix.EBADF
		}
		from = "fd/" + strconv.Itoa(int(dir))
	}
	start, e := s.ofTask(n, from)
	if e != 0 {
		if e == unix.ENOENT && strings.HasPrefix(from, "fd/") {
			return unix.EBADF
		}
		return 0
	}
	defer unix.Close(start)
	if !s.valid(n) {
		return 0
	}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_BENEATH}
	if path[0] == '/' {
		how.Resolve = unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_IN_ROOT
	}
	if !follow {
		how.Flags |= unix.O_NOFOLLOW
	}
	for try := 0; try < 100; try++ {
		fd, err := unix.Openat2(start, path, &how)
		if err == nil {
			w.fd = fd
			return 0
		}
		if err != unix.EAGAIN && err != unix.EINTR {
			break
		}
	}
	// Up from the folder it began in, through an absolute link, through /proc, or not there: look closely.
	return s.walk(n, w, start, path, follow)
}
