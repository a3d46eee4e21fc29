package probe

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// grace is how long a killed child may take to end. One that sleeps inside the driver cannot be killed;
// it is left alone then, and ends when the driver lets go of it.
const grace = time.Second

var errTooLong = errors.New("its answer is too long")

// bounded keeps the first bytes; it stops the writer if there are more, or forgets the rest.
// The buffer is not embedded: its ReadFrom would be found by io.Copy, and knows no bound.
type bounded struct {
	buf    bytes.Buffer
	max    int
	forget bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.max - b.buf.Len()
	if len(p) <= room {
		return b.buf.Write(p)
	}
	b.buf.Write(p[:max(0, room)])
	if b.forget {
		return len(p), nil
	}
	return 0, errTooLong
}

// runChild runs the helper in a process group of its own, for so long, and returns what it printed.
func runChild(ctx context.Context, path string, args, env []string, limit time.Duration) ([]byte, error) {
	cmd := exec.Command(path, args...)
	out, errs := &bounded{max: maxAnswer}, &bounded{max: 4 << 10, forget: true}
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = out, errs, env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = grace / 2 // for somebody outside the group who keeps the pipe open
	if err := cmd.Start(); err != nil {
		return nil, &HelperError{path, startFailure(err)}
	}
	done := make(chan error, 1)
	go func() { done <- wait(cmd) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var err error
	select {
	case err = <-done:
	case <-timer.C:
		stop(cmd.Process.Pid, done)
		return nil, &TimeoutError{limit}
	case <-ctx.Done():
		stop(cmd.Process.Pid, done)
		return nil, ctx.Err()
	}
	switch {
	case err == nil:
		return out.buf.Bytes(), nil
	case out.buf.Len() == out.max:
		return nil, &HelperError{path, errTooLong.Error()}
	}
	return nil, failure(path, err, errs.buf.String())
}

// wait waits for the child's end, and then ends what it left behind. The child is not reaped before that:
// while it is a zombie, nobody else can have its number.
func wait(cmd *exec.Cmd) error {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return cmd.Wait()
}

// stop kills the whole group and waits a little for its end.
func stop(pid int, done <-chan error) {
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	select {
	case <-done:
	case <-time.After(grace):
	}
}

// startFailure explains the one error of execve that misleads: "no such file" of a file that is there is
// said of its dynamic linker.
func startFailure(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) && errors.Is(p.Err, syscall.ENOENT) && isFile(p.Path) {
		return "its dynamic linker is missing (it is built for glibc)"
	}
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

var undefined = lazyregexp.New(`undefined symbol: ([A-Za-z0-9_]{1,128})`)

// failure says why a child failed, from its end and its last words.
func failure(path string, err error, said string) error {
	var exit *exec.ExitError
	if m := undefined.FindStringSubmatch(said); m != nil && errors.As(err, &exit) && exit.ExitCode() == 127 {
		return &SymbolError{m[1]}
	}
	why := err.Error()
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if last := lines[len(lines)-1]; last != "" {
		why += ": " + clean(last, 256)
	}
	return &HelperError{path, why}
}
