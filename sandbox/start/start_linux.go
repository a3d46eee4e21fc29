package start

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/internal/child"
	"github.com/4cc2e759/sandbox/sandbox/internal/notify"
	"github.com/4cc2e759/sandbox/sandbox/internal/seccomp"
	"github.com/4cc2e759/sandbox/sandbox/internal/tty"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// Start runs s and returns when its program is executed. A step that failed is an [*Error]. The
// sandbox is killed when ctx ends, and when this process dies. Safe for concurrent use.
func Start(ctx context.Context, s *spec.Spec, o Options) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := child.Config{UID: os.Geteuid(), GID: os.Getegid(), Files: files(&o), Rung: rung(), NoFile: startLimit(), Listened: o.Remember}
	if o.Cgroup != nil {
		c.Cgroup = int(o.Cgroup.Fd())
	}
	p, err := launch(ctx, s, &o, c)
	var e *Error
	if errors.As(err, &e) && e.Op == child.ProcHidden && e.Errno == unix.EPERM {
		o.log().Warn("/proc is masked here: sharing the pid namespace", "why", e)
		c.NoPID = true
		return launch(ctx, s, &o, c)
	}
	return p, err
}

func launch(ctx context.Context, s *spec.Spec, o *Options, c child.Config) (*Process, error) {
	p := &Process{first: make(chan error, 1), ended: make(chan struct{}), listening: make(chan struct{}), gone: make(chan struct{}), name: first(s.Process.Args)}
	if seccomp.Asks(s.Seccomp) {
		upper := s.Root.Upper
		if upper == "" {
			upper = s.Root.Bind
		}
		if upper == "" {
			return nil, errors.New("owners are remembered in a writable layer on disk, and this sandbox has none")
		}
		p.owners, p.remember = notify.Config{Upper: upper, Log: o.log()}, o.Remember
	}
	if o.TTY == Auto && mounts(s, spec.Devpts) {
		if t, ok := tty.Find(o.Stdin, o.Stdout, o.Stderr); ok {
			p.term = t
			c.Term = &child.Term{Winsize: t.Winsize(), Termios: t.Termios(), Stderr: t.Stderr}
		}
	}
	// Each signal that is caught is a message to a thread of the runtime and back. That goes along with
	// the compiling; after the clone, which copies every page that is written from then on, it would be dear.
	go func() {
		p.signals = listen(p, p.term, o.Forward)
		close(p.listening)
	}()
	prog, err := child.Compile(s, c)
	if err != nil {
		p.stopSignals()
		return nil, err
	}
	if ctx.Done() != nil {
		p.stop = context.AfterFunc(ctx, func() { p.Signal(unix.SIGKILL) })
	}
	<-p.listening
	go p.run(prog)
	err = <-p.first
	runtime.KeepAlive(o)
	if p.stop != nil && (err != nil || ctx.Err() != nil) {
		p.stop()
	}
	switch {
	case ctx.Err() != nil: // perhaps before there was something to kill
		p.Signal(unix.SIGKILL)
		if err == nil {
			p.Wait()
		}
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	}
	if p.signals != nil {
		go p.signals.pass()
	}
	return p, nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func mounts(s *spec.Spec, kind spec.Kind) bool {
	return slices.ContainsFunc(s.Ops, func(op spec.Op) bool { return op.Kind == kind })
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
