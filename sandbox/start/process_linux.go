package start

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/internal/child"
	"github.com/4cc2e759/sandbox/sandbox/internal/notify"
	"github.com/4cc2e759/sandbox/sandbox/internal/tty"
)

// Process is a running sandbox.
type Process struct {
	name  string
	first chan error
	ended chan struct{} // the program ended
	gone  chan struct{} // everything ended
	exit  Exit
	told  bool // exit is what the child said
	child *child.Child
	stop  func() bool

	term      *tty.Terminal // nil: the program has our files
	signals   *signals      // nil: none is passed on
	listening chan struct{} // closed when signals is set

	owners   notify.Config  // what the owners that chown asks for are remembered with
	remember bool           // or it is an error
	server   *notify.Server // nil: they are not

	mu     sync.Mutex
	reaped bool
}

// Pid is the process id of the sandbox's first process, as this process sees it.
func (p *Process) Pid() int { return p.child.Pid }

// Wait waits until the program ended and every process and mount of the sandbox is gone.
func (p *Process) Wait() (Exit, error) {
	<-p.gone
	if p.stop != nil {
		p.stop()
	}
	return p.exit, nil
}

// WaitProgram returns when the program ended; the kernel is still ending what it left behind. It is
// about a millisecond earlier than [Process.Wait]. The caller may exit then.
func (p *Process) WaitProgram() (Exit, error) {
	<-p.ended
	return p.exit, nil
}

// Signal sends a signal to the program; SIGKILL ends the whole sandbox. Signals of a terminal
// (interrupt, quit, stop, continue) go to the program's process group.
func (p *Process) Signal(sig os.Signal) error {
	n, ok := sig.(syscall.Signal)
	if !ok {
		return os.ErrInvalid
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped || p.child == nil {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.child.Pid, n)
}

// run starts the child and follows it. It keeps its thread until the child is gone: the child is
// killed when the thread that made it ends.
func (p *Process) run(prog *child.Program) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := prog.Fork()
	if err != nil {
		p.stopSignals()
		p.mu.Lock()
		p.reaped = true
		p.mu.Unlock()
		p.first <- &Error{Op: "clone", Kind: "ids", Errno: err.(syscall.Errno)}
		return
	}
	p.mu.Lock()
	p.child = c
	p.mu.Unlock()
	failed := p.writeMaps()
	if failed == nil {
		failed = p.follow()
	}
	ws := c.Reap()
	p.mu.Lock()
	p.reaped = true
	p.mu.Unlock()
	if p.term != nil {
		p.term.Finish()
	}
	p.stopSignals()
	c.Close()
	if p.server != nil { // its hold on the root goes last
		p.server.Close()
	}
	if failed != nil {
		p.first <- failed
		return
	}
	if !p.told { // killed before it could say how the program ended
		p.exit = exitOf(ws)
	}
	if !p.told || p.term != nil {
		close(p.ended)
	}
	close(p.gone)
}

func (p *Process) stopSignals() {
	if <-p.listening; p.signals != nil {
		p.signals.stop()
	}
}

func (p *Process) writeMaps() *Error {
	file, err := p.child.WriteMaps()
	if err == nil {
		return nil
	}
	syscall.Kill(p.child.Pid, syscall.SIGKILL)
	e := &Error{Op: "id map", Kind: "ids", Path: file}
	errors.As(err, &e.Errno)
	return e
}

// follow handles what the child says until there is no more. An error means that no program ran.
func (p *Process) follow() *Error {
	started := false
	for {
		e := p.child.Recv()
		switch e.Kind {
		case child.TTY:
			if err := p.term.Attach(e.FD, func() { p.Signal(unix.SIGHUP) }); err != nil {
				p.Signal(unix.SIGKILL)
			}
		case child.Listener:
			if err := p.listen(e); err != nil {
				return err
			}
		case child.Started:
			if p.owners.Upper != "" && p.server == nil {
				p.owners.Log.Warn("owners that chown asks for are not remembered: something outside listens to this process's system calls already")
			}
			started = true
			p.first <- nil
		case child.Stopped:
			if <-p.listening; p.signals != nil {
				p.signals.suspend()
			}
		case child.Exited:
			p.exit, p.told = exitOf(e.Status), true
			if p.term == nil { // else its last output is still to come
				close(p.ended)
			}
			return nil
		case child.Failed:
			return &Error{Op: e.Label.Op, Kind: e.Label.Kind, Path: e.Label.Path, Why: e.Label.Why, Errno: e.Errno}
		case child.NoExec:
			return execError(p.name, e)
		case child.Gone:
			if !started {
				return &Error{Op: "set up", Kind: "process", Errno: unix.ESRCH, Why: "killed while it was set up"}
			}
			return nil
		}
	}
}

// listen answers what the sandbox's filter leaves to us.
func (p *Process) listen(e child.Event) *Error {
	if e.FD < 0 {
		return nil
	}
	p.owners.Listener, p.owners.Root = e.FD, e.Root
	var err error
	if p.server, err = notify.Serve(p.owners); err == nil {
		return nil
	}
	// The kernel answers "no such system call" from now on.
	if p.remember {
		p.Signal(unix.SIGKILL)
		failed := &Error{Op: "remember owners", Kind: "process", Path: p.owners.Upper}
		errors.As(err, &failed.Errno)
		return failed
	}
	p.owners.Log.Warn("owners that chown asks for are not remembered", "err", err)
	p.owners.Upper = ""
	return nil
}

func exitOf(ws syscall.WaitStatus) Exit {
	if ws.Signaled() {
		return Exit{Signal: ws.Signal()}
	}
	return Exit{Code: ws.ExitStatus()}
}
