package notify

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/internal/seccomp"
	"github.com/4cc2e759/sandbox/sandbox/owner"
)

// users are the programs that think they have another user now.
type users struct {
	list []*user
}

type user struct {
	pid   int // of the process, as we see it
	pidfd int
	owner.Program
}

// maxUsers run at once that are followed; more are noted as if they ran until the sandbox ends.
const maxUsers = 256

// change answers one of the calls that set the user. The emulation stays: nothing changes, and the
// program is told that it did.
func (u *users) change(s *Server, n *notification, call seccomp.Call) syscall.Errno {
	effective := call.ID(n.args[0])
	if call.Does != seccomp.Setuid {
		if effective = call.ID(n.args[1]); effective < 0 { // only the real or the saved one
			return 0
		}
	} else if effective < 0 {
		return unix.EINVAL
	}
	pid, comm := s.process(n)
	if pid == 0 || !s.valid(n) {
		return 0
	}
	for i, p := range u.list {
		if p.pid != pid {
			continue
		}
		if p.UID == effective {
			return 0 // another thread, or once more
		}
		u.end(s, i)
		break
	}
	if effective == 0 {
		return 0
	}
	p := &user{pid: pid, pidfd: -1, Program: owner.Program{UID: effective, Comm: comm, Began: time.Now()}}
	if path, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe"); err == nil {
		p.Path = path
	}
	if len(u.list) < maxUsers {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			p.pidfd = fd
		}
	}
	if !s.valid(n) && p.pidfd >= 0 { // gone, and the number may be somebody else's
		unix.Close(p.pidfd)
		return 0
	}
	if p.pidfd < 0 && len(u.list) >= 4*maxUsers {
		s.failed("follow", unix.EMFILE)
		return 0
	}
	u.list = append(u.list, p)
	return 0
}

// process is the process of a task and its name.
func (s *Server) process(n *notification) (pid int, comm string) {
	b, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(n.pid), 10) + "/status")
	if err != nil {
		return 0, ""
	}
	for _, line := range bytes.Split(b, []byte("\n")) {
		name, value, _ := strings.Cut(string(line), ":\t")
		switch name {
		case "Name":
			comm = value
		case "Tgid":
			pid, _ = strconv.Atoi(value)
			return pid, comm
		}
	}
	return 0, ""
}

// polls adds what to wait for.
func (u *users) polls(list []unix.PollFd) []unix.PollFd {
	for _, p := range u.list {
		list = append(list, unix.PollFd{Fd: int32(p.pidfd), Events: unix.POLLIN})
	}
	return list
}

// ended notes those that are gone. The list may be longer by one than what was waited for.
func (u *users) ended(s *Server, polls []unix.PollFd) {
	for i := len(polls) - 1; i >= 0; i-- {
		if polls[i].Revents == 0 {
			continue
		}
		for j, p := range u.list {
			if p.pidfd == int(polls[i].Fd) {
				u.end(s, j)
				break
			}
		}
	}
}

func (u *users) endAll(s *Server) {
	for len(u.list) > 0 {
		u.end(s, len(u.list)-1)
	}
}

func (u *users) end(s *Server, i int) {
	p := u.list[i]
	u.list = append(u.list[:i], u.list[i+1:]...)
	p.Ended = time.Now()
	if p.pidfd >= 0 {
		unix.Close(p.pidfd)
	}
	if err := s.log.Program(p.Program); err != nil {
		s.failed("write", err)
	}
}
