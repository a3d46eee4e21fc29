package launch

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"

	"github.com/4cc2e759/sandbox/internal/usemark"
	"github.com/4cc2e759/sandbox/sandbox/spec"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// MissingLayer says that a layer of a kept plan is not there any more: it has to be made anew.
type MissingLayer struct{ Path string }

func (e *MissingLayer) Error() string { return "layer is gone: " + e.Path }

// Start executes a spec and waits. A lower that is missing is a *MissingLayer; what fails after the
// start is an *EndError.
func (l *Launcher) Start(ctx context.Context, s *spec.Spec, o RunOptions) (start.Exit, error) {
	release, err := use(s)
	if err != nil {
		return start.Exit{}, err
	}
	defer release()
	lim, err := l.limit(o.Limits)
	if err != nil {
		return start.Exit{}, err
	}
	// From here on signals are the program's: it decides what an interrupt means.
	pr, err := start.Start(context.WithoutCancel(ctx), s, start.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Forward: true, Cgroup: lim.folder(), Log: l.Log})
	if err != nil {
		lim.end()
		var e *start.Error
		if errors.As(err, &e) && errors.Is(err, syscall.ENOENT) {
			for _, low := range s.Root.Lowers {
				if e.Path == low.Path {
					return start.Exit{}, &MissingLayer{low.Path}
				}
			}
		}
		if l.Explain != nil {
			err = l.Explain(err, s)
		}
		return start.Exit{}, err
	}
	lim.watch(pr)
	if o.ended != nil || lim != nil {
		pr.WaitProgram()
		lim.stop() // what the kernel still takes apart is not the program's time
	}
	if o.ended != nil {
		o.ended()
	}
	exit, err := pr.Wait()
	if over := lim.end(); err == nil {
		err = over
	}
	if err != nil {
		err = &EndError{err}
	}
	return exit, err
}

// use marks the layers of a start as used until release, so that gc leaves them alone. The mark comes
// before the first look: a layer that is gone by then is made anew.
func use(s *spec.Spec) (release func(), err error) {
	fds := make([]int, 0, len(s.Root.Lowers))
	release = func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}
	for _, low := range s.Root.Lowers {
		fd, err := usemark.Take(filepath.Dir(low.Path))
		if err != nil {
			release()
			if errors.Is(err, usemark.ErrGone) {
				return nil, &MissingLayer{low.Path}
			}
			return nil, err
		}
		fds = append(fds, fd)
	}
	return release, nil
}
