package notify

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// walker follows a path name by name, as the kernel does for a task with this root.
type walker struct {
	root, at int // the task's; where we are
	links    int
}

const (
	maxLinks = 40           // as the kernel
	ofProc   = unix.EREMCHG // a link of /proc, which leads where depends on who asks; no file system says so
)

// walk opens a path that openat2 could not resolve within the folder it starts in.
func (s *Server) walk(n *notification, w *wish, start int, path string, follow bool) syscall.Errno {
	root, e := s.ofTask(n, "root")
	if e != 0 {
		return 0
	}
	defer unix.Close(root)
	if !s.valid(n) {
		return 0
	}
	at, err := unix.FcntlInt(uintptr(start), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return unix.ENFILE
	}
	k := walker{root: root, at: at}
	defer func() { unix.Close(k.at) }()
	todo := strings.Split(path, "/")
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		last := len(todo) == 0
		var target string
		e := s.lend(k.at, 0o100, func() (e syscall.Errno) {
			target, e = k.step(name, last && !follow)
			return e
		})
		switch e {
		case 0:
		case ofProc:
			if fd, ok := ownDescriptor(name, todo); ok && follow {
				return s.descriptor(n, w, fd)
			}
			return 0
		case unix.EACCES: // for us; root inside may do everything
			return 0
		default:
			return e
		}
		if target == "" {
			continue
		}
		if k.links++; k.links > maxLinks {
			return unix.ELOOP
		}
		todo = append(strings.Split(target, "/"), todo...)
		if target[0] == '/' {
			if e := k.move(k.root, "."); e != 0 {
				return e
			}
		}
	}
	w.fd, k.at = k.at, -1
	return 0
}

// step goes on by one name, or gives the target of the link that it is.
func (k *walker) step(name string, stay bool) (link string, e syscall.Errno) {
	if name == "" || name == "." {
		// A name that is followed by a slash is a folder.
		if !isDir(k.at) {
			return "", unix.ENOTDIR
		}
		return "", 0
	}
	if name == ".." && same(k.at, k.root) {
		return "", 0
	}
	fd, err := unix.Openat(k.at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err.(syscall.Errno)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return "", err.(syscall.Errno)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK || stay {
		unix.Close(k.at)
		k.at = fd
		return "", 0
	}
	defer unix.Close(fd)
	if k.proc() {
		return "", ofProc
	}
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(fd, "", buf[:])
	if err != nil {
		return "", err.(syscall.Errno)
	}
	if n == 0 {
		return "", unix.ENOENT
	}
	return string(buf[:n]), 0
}

// move goes somewhere else.
func (k *walker) move(from int, name string) syscall.Errno {
	fd, err := unix.Openat(from, name, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return err.(syscall.Errno)
	}
	unix.Close(k.at)
	k.at = fd
	return 0
}

// proc tells whether we are in a /proc.
func (k *walker) proc() bool {
	var fs unix.Statfs_t
	return unix.Fstatfs(k.at, &fs) == nil && fs.Type == unix.PROC_SUPER_MAGIC
}

// ownDescriptor reads self/fd/N, the way to name a descriptor as a path.
func ownDescriptor(name string, rest []string) (int32, bool) {
	if name != "self" && name != "thread-self" || len(rest) != 2 || rest[0] != "fd" {
		return 0, false
	}
	n, err := strconv.ParseInt(rest[1], 10, 32)
	return int32(n), err == nil && n >= 0
}

func isDir(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// same tells whether two descriptors are one folder of one mount.
func same(a, b int) bool {
	var x, y unix.Statx_t
	if unix.Statx(a, "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_MNT_ID, &x) != nil || unix.Statx(b, "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_MNT_ID, &y) != nil {
		return false
	}
	return x.Ino == y.Ino && x.Mnt_id == y.Mnt_id && x.Dev_major == y.Dev_major && x.Dev_minor == y.Dev_minor
}
