package lend

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Session is what is lent in a tree at a time, for one call. It stands in a record next to the tree until
// everything is as it was. The record is a file of lines
//
//	TRUE LENT INODE "path"
//
// with modes in octal, the inode's number, and the path from the folder that the record is in. It is there
// only while a Session lasts: one that is found under the lock was left by a process that was killed. It
// is not synced: it is against killed processes, and a power cut seldom comes in these microseconds.
type Session struct {
	t      *Tree
	record int // open for appending, or -1
	bare   bool
	lent   []lent
}

type lent struct {
	fd   int // O_PATH will do
	mode uint32
}

// record is the name of the record.
func (t *Tree) record() string { return "." + t.base + ".lent" }

// left says whether there is a record of somebody who could have lent something. Next to trees that were
// not made here others may leave what they like.
func (t *Tree) left() bool {
	var st unix.Stat_t
	err := unix.Fstatat(t.up, t.record(), &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && t.trusts(&st)
}

func (t *Tree) trusts(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFREG && (st.Uid == t.rootU || int(st.Uid) == os.Geteuid())
}

// Lend gives the owner the permissions need of what fd is.
func (s *Session) Lend(fd int, path string, need uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	old := st.Mode & 0o7777
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
	default:
		return nil
	}
	if old&need == need {
		return nil
	}
	keep, err := dup(fd)
	if err != nil {
		return err
	}
	if err := s.note(fmt.Sprintf("%04o %04o %d %+q\n", old, old|need, st.Ino, path)); err != nil {
		unix.Close(keep)
		return s.t.fail("write down a mode before it is changed", err)
	}
	if err := chmod(keep, old|need); err != nil {
		unix.Close(keep)
		return err
	}
	s.lent = append(s.lent, lent{keep, old})
	return nil
}

// chmod works on O_PATH as well, which fchmod refuses: by way of proc it reaches this very file.
func chmod(fd int, mode uint32) error {
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}

// note adds a line to the record. Where we may not write next to the tree, as with somebody's own folder that is
// imported, there is none.
func (s *Session) note(line string) error {
	if s.bare {
		return nil
	}
	if s.record < 0 {
		fd, err := unix.Openat(s.t.up, s.t.record(), unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		switch err {
		case nil:
		case unix.EACCES, unix.EPERM, unix.EROFS, unix.EEXIST:
			s.bare = true
			return nil
		default:
			return err
		}
		s.record = fd
	}
	n, err := unix.Write(s.record, []byte(line))
	if err == nil && n < len(line) {
		err = unix.ENOSPC
	}
	return err
}

// end puts back what was lent. The record stays if that fails.
func (s *Session) end() error {
	err := s.back()
	if s.record >= 0 {
		if err == nil {
			err = unix.Unlinkat(s.t.up, s.t.record(), 0)
		}
		unix.Close(s.record)
		s.record = -1
	}
	return err
}

// back puts back modes, those that were lent last first.
func (s *Session) back() error {
	var errs []error
	for i := len(s.lent) - 1; i >= 0; i-- {
		errs = append(errs, chmod(s.lent[i].fd, s.lent[i].mode))
		unix.Close(s.lent[i].fd)
	}
	s.lent = nil
	return errors.Join(errs...)
}

// Reach gives an O_PATH descriptor of what is called path, with folders on the way lent.
func (s *Session) Reach(path string) (int, error) {
	cur := s.t.up
	for at := 0; ; {
		c, _, more := strings.Cut(path[at:], "/")
		if c == "" || c == "." || c == ".." {
			return -1, unix.ENOENT
		}
		at += len(c)
		fd, err := unix.Openat(cur, c, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if cur != s.t.up {
			unix.Close(cur)
		}
		if err == nil && more {
			err = s.Lend(fd, path[:at], 0o100)
			if err != nil {
				unix.Close(fd)
			}
		}
		if err != nil || !more {
			return fd, err
		}
		cur = fd
		at++
	}
}

// owed is one line of a record, with what it is about.
type owed struct {
	fd       int
	old, now uint32
}

// recover undoes what a record says, under the lock. If this process is killed too, the record says that
// as well: the last lines are undone first.
func (t *Tree) recover() error {
	fd, err := unix.Openat(t.up, t.record(), unix.O_RDWR|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), t.record())
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || !t.trusts(&st) {
		return err
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	s := &Session{t: t, record: fd}
	if !bytes.HasSuffix(b, []byte("\n")) {
		err = s.note("\n") // after a line that was not written to its end
	}
	var debts []owed
	if err == nil {
		debts, err = s.owed(string(b), st.Uid)
	}
	// First what was lent on the way there: it may be what has to be undone.
	err = errors.Join(err, s.back())
	for _, d := range slices.Backward(debts) {
		// A change of the mode may take the set-group-id bit with it.
		if err == nil && (mode(d.fd)^d.now)&^unix.S_ISGID == 0 {
			err = chmod(d.fd, d.old)
		}
		unix.Close(d.fd)
	}
	if err != nil {
		return err
	}
	return unix.Unlinkat(t.up, t.record(), 0)
}

// owed finds what the record is about. What is not there any more, is another file or belongs to somebody
// else is passed over; so is a line that was not written to its end, since nothing was lent then.
func (s *Session) owed(record string, uid uint32) (debts []owed, err error) {
	for line := range strings.Lines(record) {
		var old, now uint32
		var ino uint64
		var path string
		if _, err := fmt.Sscanf(line, "%o %o %d %q\n", &old, &now, &ino, &path); err != nil {
			continue
		}
		fd, err := s.Reach(path)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue
		}
		if err != nil {
			return debts, err
		}
		var st unix.Stat_t
		kind := uint32(0)
		if err = unix.Fstat(fd, &st); err == nil {
			kind = st.Mode & unix.S_IFMT
		}
		if st.Ino != ino || st.Uid != uid || kind != unix.S_IFREG && kind != unix.S_IFDIR {
			unix.Close(fd)
			continue
		}
		debts = append(debts, owed{fd, old & 0o7777, now & 0o7777})
	}
	return debts, nil
}

func mode(fd int) uint32 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Mode & 0o7777
}

func dup(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }
