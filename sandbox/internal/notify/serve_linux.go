package notify

import (
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/internal/seccomp"
	"github.com/4cc2e759/sandbox/sandbox/owner"
)

// Config is one sandbox. Serve takes over the descriptors, also when it fails.
type Config struct {
	Listener int          // of the filter
	Root     int          // the sandbox's root folder
	Upper    string       // its writable layer, on the host
	Log      *slog.Logger // for what could not be remembered
}

// Server answers for one sandbox.
type Server struct {
	listener, root int
	rootMount      uint64
	upper          int // O_PATH, or -1
	proc           int // our /proc
	stop           int // eventfd: Close
	done           chan struct{}
	slow           sync.WaitGroup
	slog           *slog.Logger
	log            *owner.Log
	told           sync.Once

	notes struct {
		sync.Mutex
		known map[inode]owner.Owner
	}
	users users
}

// bigFile is what is answered beside the others: the first note about a file of the layers below copies it.
const bigFile = 1 << 20

// Serve starts to answer.
func Serve(c Config) (*Server, error) {
	s := &Server{listener: c.Listener, root: c.Root, upper: -1, proc: -1, stop: -1, done: make(chan struct{}), slog: c.Log, log: owner.NewLog(c.Upper)}
	if err := s.open(c.Upper); err != nil {
		s.closeFiles()
		return nil, err
	}
	// The answered task runs on this processor next, since this thread is about to wait. Since 6.6.
	unix.Syscall(unix.SYS_IOCTL, uintptr(s.listener), ioctlSetFlags, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
	go s.loop()
	return s, nil
}

func (s *Server) open(upper string) (err error) {
	var st unix.Statx_t
	if err = unix.Statx(s.root, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return os.NewSyscallError("statx", err)
	}
	s.rootMount = st.Mnt_id
	for _, f := range []struct {
		fd   *int
		path string
	}{{&s.upper, upper}, {&s.proc, "/proc"}} {
		if *f.fd, err = unix.Open(f.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return &os.PathError{Op: "open", Path: f.path, Err: err}
		}
	}
	if s.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	return nil
}

// Close ends the answers: calls that wait get ENOSYS from the kernel. Everything is written then.
func (s *Server) Close() {
	unix.Write(s.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-s.done
	s.slow.Wait()
	s.users.endAll(s)
	if err := s.log.Close(); err != nil {
		s.failed("close", err)
	}
	s.closeFiles()
}

func (s *Server) closeFiles() {
	for _, fd := range []int{s.listener, s.root, s.upper, s.proc, s.stop} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// loop answers one call after another. Go's own waiting for descriptors would cost a second wake-up.
func (s *Server) loop() {
	defer close(s.done)
	polls := []unix.PollFd{{Fd: int32(s.stop), Events: unix.POLLIN}, {Fd: int32(s.listener), Events: unix.POLLIN}}
	n := new(notification)
	for {
		polls = s.users.polls(polls[:2])
		if _, err := unix.Poll(polls, -1); err != nil && err != unix.EINTR {
			s.failed("poll", err)
			return
		}
		switch got := polls[1].Revents; {
		case polls[0].Revents != 0:
			return
		case got&unix.POLLIN != 0:
			switch e := s.receive(n); e {
			case 0:
				if s.handle(n) {
					n = new(notification) // the other is in use
				}
			case unix.EINTR, unix.ENOENT: // the task was killed before we came
			default:
				s.failed("receive", e)
				return
			}
		case got != 0: // no task has the filter any more
			polls[1].Fd = -1
		}
		s.users.ended(s, polls[2:])
	}
}

// handle answers one call, or leaves that to a goroutine, which keeps n, and says so.
func (s *Server) handle(n *notification) (kept bool) {
	call, ok := seccomp.CallOf(n.arch, uint32(n.nr))
	if !ok {
		s.reply(n, unix.ENOSYS)
		return false
	}
	if call.Does >= seccomp.Setuid {
		s.reply(n, s.users.change(s, n, call))
		return false
	}
	w, e := s.find(n, call)
	if e != 0 || w.fd < 0 {
		s.reply(n, e)
		return false
	}
	done, slow := s.look(w)
	if slow {
		s.slow.Add(1)
		go func() {
			defer s.slow.Done()
			s.reply(n, s.remember(w))
			unix.Close(w.fd)
		}()
		return true
	}
	if !done {
		e = s.remember(w)
	}
	unix.Close(w.fd)
	s.reply(n, e)
	return false
}

// failed says once that something is not remembered.
func (s *Server) failed(what string, err error) {
	s.told.Do(func() { s.slog.Warn("some owners asked for by chown are not remembered", "op", what, "err", err) })
}
