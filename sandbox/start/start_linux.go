package start

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/internal/child"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// Start runs s and returns when its program is executed. A step that failed is an [*Error]. The
// sandbox is killed when ctx ends, and when this process dies. Safe for concurrent use.
func Start(ctx context.Context, s *spec.Spec, o Options) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := launch(ctx, s, &o, false)
	var e *Error
	if errors.As(err, &e) && e.Op == child.ProcHidden && e.Errno == unix.EPERM {
		o.log().Warn("/proc is masked here: sharing the pid namespace", "why", e)
		return launch(ctx, s, &o, true)
	}
	return p, err
}

func launch(ctx context.Context, s *spec.Spec, o *Options, noPID bool) (*Process, error) {
	c := child.Config{
		UID: os.Geteuid(), GID: os.Getegid(), Files: files(o), NoPID: noPID,
		Rung: rung(), NoFile: startLimit(),
	}
	prog, err := child.Compile(s, c)
	if err != nil {
		return nil, err
	}
	p := &Process{first: make(chan error, 1), ended: make(chan struct{}), gone: make(chan struct{}), name: s.Process.Args[0]}
	go p.run(prog)
	err = <-p.first
	runtime.KeepAlive(o)
	if err != nil {
		return nil, err
	}
	if ctx.Done() != nil {
		p.stop = context.AfterFunc(ctx, func() { p.Signal(unix.SIGKILL) })
	}
	return p, nil
}

// Process is a running sandbox.
type Process struct {
	name  string
	first chan error
	ended chan struct{} // the program ended
	gone  chan struct{} // everything ended
	exit  Exit
	child *child.Child
	stop  func() bool

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
	if p.reaped {
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
		p.first <- &Error{Op: "clone", Kind: "ids", Errno: err.(syscall.Errno)}
		return
	}
	p.child = c
	if file, err := c.WriteMaps(); err != nil {
		syscall.Kill(c.Pid, syscall.SIGKILL)
		c.Reap()
		c.Close()
		e := &Error{Op: "id map", Kind: "ids", Path: file}
		errors.As(err, &e.Errno)
		p.first <- e
		return
	}
	started := p.follow(c)
	ws := c.Reap()
	p.mu.Lock()
	p.reaped = true
	p.mu.Unlock()
	c.Close()
	if !started {
		return
	}
	select {
	case <-p.ended:
	default: // killed before it could say how the program ended
		p.exit = exitOf(ws)
		close(p.ended)
	}
	close(p.gone)
}

// follow handles what the child says until it is gone. It tells whether the program ran.
func (p *Process) follow(c *child.Child) (started bool) {
	for {
		e := c.Recv()
		switch e.Kind {
		case child.Started:
			started = true
			p.first <- nil
		case child.Exited:
			p.exit = exitOf(e.Status)
			close(p.ended)
			return true
		case child.Failed:
			p.first <- &Error{Op: e.Label.Op, Kind: e.Label.Kind, Path: e.Label.Path, Why: e.Label.Why, Errno: e.Errno}
			return false
		case child.NoExec:
			p.first <- execError(p.name, e)
			return false
		case child.Gone:
			if !started {
				p.first <- &Error{Op: "set up", Kind: "process", Errno: unix.ESRCH, Why: "the sandbox died while it was set up"}
			}
			return started
		}
	}
}

func exitOf(ws syscall.WaitStatus) Exit {
	if ws.Signaled() {
		return Exit{Signal: ws.Signal()}
	}
	return Exit{Code: ws.ExitStatus()}
}

func execError(name string, e child.Event) *Error {
	err := &Error{Op: OpExec, Kind: "exec", Path: e.Path, Errno: e.Errno}
	if e.Path == "" {
		err.Path, err.Why = name, notFound
		return err
	}
	err.Why = child.Explain(e.Errno, e.Head)
	return err
}

func files(o *Options) []int {
	list := make([]int, 0, 3+len(o.ExtraFiles))
	for _, f := range append([]*os.File{o.Stdin, o.Stdout, o.Stderr}, o.ExtraFiles...) {
		n := -1
		if f != nil {
			n = int(f.Fd())
		}
		list = append(list, n)
	}
	return list
}
