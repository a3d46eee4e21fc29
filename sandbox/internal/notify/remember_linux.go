package notify

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/owner"
)

// inode is how a note names a link or special file.
type inode struct {
	ino  uint64
	born int64
}

const lookAt = unix.STATX_TYPE | unix.STATX_MODE | unix.STATX_INO | unix.STATX_SIZE | unix.STATX_BTIME | unix.STATX_MNT_ID

// look finds out what w is about. done is set if there is nothing to remember; slow if remembering can
// take long.
func (s *Server) look(w *wish) (done, slow bool) {
	if unix.Statx(w.fd, "", unix.AT_EMPTY_PATH, lookAt, &w.st) != nil || w.st.Mnt_id != s.rootMount {
		return true, false // not ours: see the package's comment
	}
	w.path = self(w.fd)
	if !w.attributed() {
		return false, false
	}
	var buf [64]byte
	w.has = owner.Owner{UID: -1, GID: -1}
	n := 0
	e := s.lend(w.fd, 0o400, func() (e syscall.Errno) {
		n, e = getxattr(w.path, owner.Attr, buf[:])
		return e
	})
	if e == 0 {
		if o, err := owner.Parse(string(buf[:n])); err == nil {
			w.has, w.known = o, true
		}
	}
	return false, !w.known && w.st.Mode&unix.S_IFMT == unix.S_IFREG && w.st.Size > bigFile
}

// attributed tells whether the file can have an attribute: the kernel allows user.* on no others.
func (w *wish) attributed() bool {
	t := w.st.Mode & unix.S_IFMT
	return t == unix.S_IFREG || t == unix.S_IFDIR
}

// remember notes the owner and does what else a chown does. Its error is that of a file system that
// could not take it, as a full disk: a real chown would have met it too.
func (s *Server) remember(w *wish) syscall.Errno {
	if !w.attributed() {
		return s.note(w)
	}
	next := w.has.With(w.uid, w.gid)
	set := next != w.has
	if set && !w.known && next.UID <= 0 && next.GID <= 0 {
		// What was made here and of which nothing is known is root's already. What the layers below have may
		// be somebody else's there: it is copied up, as by any chown.
		set = s.fromBelow(w)
	}
	if set {
		if e := s.set(w, next); e != 0 {
			return e
		}
	}
	if w.clears(set) {
		// The real thing, without new owners: the kernel takes the setuid and setgid bits and capabilities away.
		if err := unix.Fchownat(w.fd, "", -1, -1, unix.AT_EMPTY_PATH); err != nil {
			s.failed("clear setuid bit", err)
		}
	}
	return 0
}

func (s *Server) set(w *wish, o owner.Owner) syscall.Errno {
	e := s.lend(w.fd, 0o200, func() syscall.Errno { return setxattr(w.path, owner.Attr, o.String()) })
	switch e {
	case 0:
		return 0
	case unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS:
		return e
	case unix.EOPNOTSUPP:
		return s.note(w)
	case unix.ENOENT, unix.ESTALE: // removed, and of a layer below: there is nothing to copy up
		return 0
	}
	s.failed("setxattr", e)
	return 0
}

// clears tells whether a chown changes more than the owner.
func (w *wish) clears(set bool) bool {
	if w.st.Mode&unix.S_IFMT != unix.S_IFREG || w.st.Mode&0o111 == 0 && w.st.Mode&unix.S_ISUID == 0 {
		return false
	}
	if w.st.Mode&unix.S_ISUID != 0 || w.st.Mode&(unix.S_ISGID|unix.S_IXGRP) == unix.S_ISGID|unix.S_IXGRP {
		return true
	}
	if !set {
		return false // it would copy up
	}
	_, e := getxattr(w.path, "security.capability", nil)
	return e == 0
}

// fromBelow tells whether the file is one of the layers below, or a copy of one.
func (s *Server) fromBelow(w *wish) bool {
	fd := s.inUpper(w)
	if fd < 0 {
		return true
	}
	defer unix.Close(fd)
	_, e := getxattr(self(fd), "user.overlay.origin", nil)
	return e == 0
}

// inUpper opens the file in the writable layer, or gives -1.
func (s *Server) inUpper(w *wish) int {
	path, ok := where(w.path)
	if !ok {
		return -1
	}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(s.upper, "."+path, &how)
	if err != nil {
		return -1
	}
	return fd
}

// where is the path inside of what we hold open, as the kernel tells it.
func where(link string) (string, bool) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlink(link, buf[:])
	if err != nil || n == len(buf) || n == 0 || buf[0] != '/' {
		return "", false
	}
	return string(buf[:n]), true
}

// note remembers in the side file.
func (s *Server) note(w *wish) syscall.Errno {
	id, upper := s.identity(w)
	s.notes.Lock()
	defer s.notes.Unlock()
	s.loadNotes()
	has, known := s.notes.known[id]
	if !known {
		has = owner.Owner{UID: -1, GID: -1}
	}
	next := has.With(w.uid, w.gid)
	if next == has || !known && next.UID <= 0 && next.GID <= 0 {
		return 0
	}
	if !upper { // so that the layer has it, as after any chown
		if err := unix.Fchownat(w.fd, "", -1, -1, unix.AT_EMPTY_PATH); err != nil {
			s.failed("copy up", err)
			return 0
		}
		id, _ = s.identity(w)
	}
	path, _ := where(w.path)
	if err := s.log.Note(owner.Note{Owner: next, Ino: id.ino, Born: id.born, Path: path}); err != nil {
		s.failed("write", err)
		return 0
	}
	s.notes.known[id] = next
	return 0
}

// identity names the inode in the writable layer. One of a layer below has another number there.
func (s *Server) identity(w *wish) (id inode, upper bool) {
	if fd := s.inUpper(w); fd >= 0 {
		defer unix.Close(fd)
		var st unix.Statx_t
		if unix.Statx(fd, "", unix.AT_EMPTY_PATH, lookAt, &st) == nil && st.Mode&unix.S_IFMT == w.st.Mode&unix.S_IFMT {
			return inode{st.Ino, owner.Nanoseconds(st.Btime)}, true
		}
	}
	return inode{w.st.Ino, owner.Nanoseconds(w.st.Btime)}, false
}

// loadNotes reads what earlier starts of this sandbox noted, when the first note is made.
func (s *Server) loadNotes() {
	if s.notes.known != nil {
		return
	}
	s.notes.known = map[inode]owner.Owner{}
	list, err := s.log.Notes()
	if err != nil {
		s.failed("read", err)
	}
	for _, n := range list {
		s.notes.known[inode{n.Ino, n.Born}] = n.Owner
	}
}

// lend does something with a file. If its mode keeps its owner out, us, it has the permissions for that moment: root
// inside is not stopped by modes, and nor must its chown be. Only files on the sandbox's own root are touched.
func (s *Server) lend(fd int, need uint32, do func() syscall.Errno) syscall.Errno {
	e := do()
	if e != unix.EACCES {
		return e
	}
	var st unix.Statx_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH, lookAt, &st) != nil || st.Mnt_id != s.rootMount {
		return e
	}
	path, mode := self(fd), uint32(st.Mode)&0o7777
	if mode&need == need || unix.Chmod(path, mode|need) != nil {
		return e
	}
	e = do()
	// Unless somebody inside has changed it meanwhile.
	var now unix.Statx_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH, lookAt, &now) == nil && uint32(now.Mode)&0o7777 == mode|need {
		unix.Chmod(path, mode)
	}
	return e
}

func self(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func getxattr(path, name string, buf []byte) (int, syscall.Errno) {
	n, err := unix.Getxattr(path, name, buf)
	if err != nil {
		return 0, err.(syscall.Errno)
	}
	return n, 0
}

func setxattr(path, name, value string) syscall.Errno {
	if err := unix.Setxattr(path, name, []byte(value), 0); err != nil {
		return err.(syscall.Errno)
	}
	return 0
}
