package start

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/internal/tty"
)

// passed are the signals that a program expects from whoever started it. Others are either not
// catchable, or about this process alone (SIGCHLD, SIGPIPE, SIGURG).
var passed = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM,
	unix.SIGCONT, unix.SIGTSTP, unix.SIGWINCH,
}

// signals passes this process's signals on, and follows the window size.
type signals struct {
	p       *Process
	term    *tty.Terminal
	forward bool
	ch      chan os.Signal
	quit    chan struct{}

	mu       sync.Mutex
	stopping bool
	caught   sigaction // of SIGTSTP, while stopping
}

// listen starts catching while the sandbox is made; what comes early waits in the channel.
func listen(p *Process, term *tty.Terminal, forward bool) *signals {
	s := &signals{p: p, term: term, forward: forward, ch: make(chan os.Signal, 64), quit: make(chan struct{})}
	switch {
	case forward:
		for _, sig := range passed {
			if !signal.Ignored(sig) { // nohup
				signal.Notify(s.ch, sig)
			}
		}
	case term != nil:
		signal.Notify(s.ch, unix.SIGWINCH, unix.SIGCONT, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM)
	default:
		return nil
	}
	return s
}

// pass runs until stop.
func (s *signals) pass() {
	for {
		select {
		case <-s.quit:
			return
		case sig := <-s.ch:
			s.one(sig.(syscall.Signal))
		}
	}
}

func (s *signals) one(sig syscall.Signal) {
	if s.term != nil {
		switch sig {
		case unix.SIGWINCH:
			s.term.Resize() // the kernel tells the programs inside
			return
		case unix.SIGCONT:
			s.term.Resume()
		}
	}
	if !s.forward {
		if sig != unix.SIGWINCH && sig != unix.SIGCONT { // caught only to give the terminal back first
			s.term.Suspend()
			signal.Reset(sig)
			syscall.Kill(os.Getpid(), sig)
		}
		return
	}
	if sig == unix.SIGCONT {
		s.catchStop()
	}
	s.p.Signal(sig)
}

// suspend stops this process because the program was stopped, so that the shell that started us
// notices. The signal's default action does it: where nobody could continue us (no job control, as
// in scripts) the kernel ignores it. os/signal cannot go back to that action, so the kernel is asked.
func (s *signals) suspend() {
	if !s.forward {
		return
	}
	who := os.Getpid()
	if s.term != nil {
		s.term.Suspend()
		who = 0 // with a terminal of its own the program's keys did not reach our process group
	}
	s.mu.Lock()
	if !s.stopping {
		var byDefault sigaction
		s.stopping = setAction(unix.SIGTSTP, &byDefault, &s.caught) == nil
	}
	s.mu.Unlock()
	syscall.Kill(who, unix.SIGTSTP)
}

// catchStop undoes suspend's change.
func (s *signals) catchStop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		setAction(unix.SIGTSTP, &s.caught, nil)
		s.stopping = false
	}
}

// sigaction is the kernel's structure: handler, flags, restorer, mask. Zero is the default action.
type sigaction [4]uint64

func setAction(sig syscall.Signal, act, old *sigaction) error {
	_, _, e := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

func (s *signals) stop() {
	s.catchStop()
	close(s.quit)
	go signal.Stop(s.ch) // as slow as Notify, and nobody waits for it
}
