package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/spec"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// BoxRun is where a Box's own files lie inside: a tmpfs, so that no layer contains them.
const BoxRun = "/run/sandbox"

// Box is where a command runs at build time: one mapped id, root inside, root emulation, no host
// environment, no network unless asked for.
type Box struct {
	Lowers []string // layer folders, bottom first
	Upper  string   // the layer that is being made; "" is a tmpfs that is thrown away
	Work   string   // overlay's work folder, beside Upper
	Bind   string   // instead of an overlay: this folder is the root
	Stubs  string   // folder of mount points (see [MakeStubs]), the lowest layer

	// Owners remembers in Upper or Bind what chown asks for, see package owner, or fails.
	Owners  bool
	Network bool
	Caps    []string          // more capabilities
	Files   map[string]string // path below BoxRun -> content
	Binds   []BoxBind
	Env     []string // NAME=value beside the fixed ones
	Dir     string   // working folder; "" is /
	User    spec.IDs // zero is root

	Stdin          *os.File
	Stdout, Stderr io.Writer // nil: to the log and into the error
	Log            *slog.Logger
}

// BoxBind is a host path shown inside.
type BoxBind struct {
	Source, Target string
	Write          bool
}

// ExitError is a command that ran and failed.
type ExitError struct {
	Args   []string
	Code   int
	Output string            // the end of what it printed
	Room   *store.SpaceError // it found the store's disk, or the user's quota, full; nil if not
}

func (e *ExitError) Error() string {
	s := fmt.Sprintf("%s exited with code %d", e.Args[0], e.Code)
	if o := strings.TrimSpace(e.Output); o != "" {
		s += ":\n" + o
	}
	return s
}

// Hint says how to make room, if that is what was missing.
func (e *ExitError) Hint() string {
	if e.Room == nil {
		return ""
	}
	return e.Room.Hint()
}

// Run runs one command to its end. A command that fails is an *ExitError; one that could not be
// started is a *start.Error.
func (b *Box) Run(ctx context.Context, args ...string) error {
	s := b.spec(args)
	tail := &tailWriter{max: 8 << 10}
	if b.Log != nil {
		b.Log.Info("inside", "args", args)
	}
	out, closeOut, err := PipeTo(either(b.Stdout, tail))
	if err != nil {
		return err
	}
	errOut, closeErr, err := PipeTo(either(b.Stderr, tail))
	if err != nil {
		closeOut()
		return err
	}
	in := b.Stdin
	if in == nil {
		if in, err = os.Open(os.DevNull); err != nil {
			return err
		}
		defer in.Close()
	}
	p, err := start.Start(ctx, s, start.Options{Stdin: in, Stdout: out, Stderr: errOut, TTY: start.Never, Remember: b.Owners, Log: b.Log})
	if err != nil {
		closeOut()
		closeErr()
		return unheard(err)
	}
	stop := context.AfterFunc(ctx, func() { p.Signal(os.Kill) })
	exit, err := p.Wait()
	stop()
	closeOut()
	closeErr()
	if cerr := ctx.Err(); cerr != nil {
		return cerr
	}
	if err != nil {
		return err
	}
	if b.Log != nil {
		b.Log.Debug("output", "args", args[0], "text", tail.String())
	}
	if exit.Status() != 0 {
		return b.failed(args, exit.Status(), tail.String())
	}
	return nil
}

// unheard explains that the kernel lets only one program listen to system calls.
func unheard(err error) error {
	var e *start.Error
	if !errors.As(err, &e) || e.Op != "seccomp filter" || e.Errno != syscall.EBUSY {
		return err
	}
	return hint.With(errors.New("something outside of this process listens to its system calls already, so the owners that a build asks for cannot be remembered"),
		"build outside of the container that runs this, and bring the environment in as an image: sandbox export")
}

// failed is the error of a command that ended with a code.
func (b *Box) failed(args []string, code int, said string) error {
	e := &ExitError{Args: args, Code: code, Output: said}
	if w, ok := b.Stderr.(fmt.Stringer); ok {
		said += w.String()
	}
	if dir := b.writes(); dir != "" {
		e.Room = noRoom(dir, said)
	}
	return e
}

// writes is a folder that the command could write to on the disk of the store; "" if there is none.
func (b *Box) writes() string {
	for _, dir := range []string{b.Upper, b.Bind} {
		if dir != "" {
			return dir
		}
	}
	for _, m := range b.Binds {
		if st, err := os.Stat(m.Source); m.Write && err == nil && st.IsDir() {
			return m.Source
		}
	}
	return ""
}

func (b *Box) spec(args []string) *spec.Spec {
	s := &spec.Spec{
		Version:  spec.Version,
		Hostname: "sandbox", // some maintainer scripts write it down: the same everywhere
		IDs:      b.User,
		Unshare:  []spec.Namespace{"user", "mount", "pid", "ipc", "uts"},
		Seccomp:  []string{"container", "root", "nosync"}, // a layer is synced once, when it is done
		Process: spec.Process{
			Args: args, Dir: "/",
			Env: lastWins(append([]string{
				"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				"HOME=/root", "USER=root", "LOGNAME=root", "LC_ALL=C.UTF-8", "TZ=UTC0", "TERM=dumb", "container=sandbox",
			}, b.Env...)),
			Caps: append([]string{"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
				"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"}, b.Caps...),
		},
	}
	if b.Owners {
		s.Seccomp = append(s.Seccomp, "owners")
	}
	if b.Dir != "" {
		s.Process.Dir = b.Dir
	}
	if b.Bind != "" {
		s.Root.Bind = b.Bind
	} else {
		if b.Stubs != "" {
			s.Root.Lowers = append(s.Root.Lowers, spec.Lower{Path: b.Stubs, Why: "mount points"})
		}
		for _, l := range b.Lowers {
			s.Root.Lowers = append(s.Root.Lowers, spec.Lower{Path: l, Why: "layer"})
		}
		s.Root.Upper, s.Root.Work = b.Upper, b.Work
	}
	if !b.Network {
		s.Unshare = append(s.Unshare, "net")
		s.Ops = append(s.Ops, spec.Op{Kind: spec.Loopup, Why: "no network while building"})
	}
	s.Ops = append(s.Ops, b.ops()...)
	return s
}

func (b *Box) ops() []spec.Op {
	ops := []spec.Op{
		{Kind: spec.Proc, Target: "/proc", Why: "build"},
		{Kind: spec.Lock, Target: "/proc/sys", Why: "settings of the host's kernel are not for writing"},
		{Kind: spec.Lock, Target: "/proc/sysrq-trigger", Why: "settings of the host's kernel are not for writing"},
		{Kind: spec.Sysfs, Target: "/sys", Why: "build", Optional: true},
		{Kind: spec.Tmpfs, Target: "/dev", Data: "mode=755", Flags: []string{"nosuid", "noexec"}, Why: "build"},
	}
	for _, d := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		ops = append(ops, spec.Op{Kind: spec.Device, Source: "/dev/" + d, Target: "/dev/" + d, Why: "build"})
	}
	for _, l := range [][2]string{{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}} {
		ops = append(ops, spec.Op{Kind: spec.Symlink, Source: l[0], Target: "/dev/" + l[1], Why: "build"})
	}
	ops = append(ops,
		spec.Op{Kind: spec.Dir, Target: "/dev/pts", Mode: 0o755, Why: "build"},
		spec.Op{Kind: spec.Devpts, Target: "/dev/pts", Why: "build"},
		spec.Op{Kind: spec.Dir, Target: "/dev/shm", Mode: 0o755, Why: "build"},
		spec.Op{Kind: spec.Tmpfs, Target: "/dev/shm", Data: "mode=1777", Flags: []string{"nosuid", "nodev"}, Why: "build"},
		spec.Op{Kind: spec.Tmpfs, Target: "/tmp", Data: "mode=1777", Flags: []string{"nosuid", "nodev"}, Why: "build"},
		spec.Op{Kind: spec.Tmpfs, Target: BoxRun, Data: "mode=755", Flags: []string{"nosuid", "nodev"}, Why: "build"})
	if b.Network {
		ops = append(ops,
			spec.Op{Kind: spec.Bind, Source: "/etc/resolv.conf", Target: "/etc/resolv.conf", Flags: []string{"ro"}, Optional: true, Why: "name servers"},
			spec.Op{Kind: spec.Bind, Source: "/etc/hosts", Target: "/etc/hosts", Flags: []string{"ro"}, Optional: true, Why: "names"})
	}
	ops = append(ops, b.files()...)
	for _, m := range b.Binds {
		ops = append(ops, bindOps(m)...)
	}
	return ops
}

// files are made sorted, their folders first.
func (b *Box) files() []spec.Op {
	var ops []spec.Op
	names := make([]string, 0, len(b.Files))
	for n := range b.Files {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		t := path.Join(BoxRun, n)
		if d := path.Dir(t); d != BoxRun {
			ops = append(ops, spec.Op{Kind: spec.Dir, Target: d, Mode: 0o755, Why: "build"})
		}
		mode := uint32(0o644)
		if strings.HasPrefix(b.Files[n], "#!") {
			mode = 0o755
		}
		ops = append(ops, spec.Op{Kind: spec.File, Target: t, Content: b.Files[n], Mode: mode, Why: "build"})
	}
	return ops
}

// bindOps makes the target first where it lies in our tmpfs; elsewhere it must be there.
func bindOps(m BoxBind) []spec.Op {
	var ops []spec.Op
	if strings.HasPrefix(m.Target, BoxRun+"/") {
		if d := path.Dir(m.Target); d != BoxRun {
			ops = append(ops, spec.Op{Kind: spec.Dir, Target: d, Mode: 0o755, Why: "build"})
		}
		if st, err := os.Stat(m.Source); err == nil && !st.IsDir() {
			ops = append(ops, spec.Op{Kind: spec.File, Target: m.Target, Mode: 0o644, Why: "build"})
		} else {
			ops = append(ops, spec.Op{Kind: spec.Dir, Target: m.Target, Mode: 0o755, Why: "build"})
		}
	}
	op := spec.Op{Kind: spec.Bind, Source: m.Source, Target: m.Target, Flags: []string{"nosuid", "nodev"}, Why: "build"}
	if !m.Write {
		op.Flags = append(op.Flags, "ro")
	}
	return append(ops, op)
}

// MakeStubs fills dir with the mount points of a Box, so that they never end up in a layer.
func MakeStubs(dir string) error {
	for _, d := range []string{"proc", "sys", "dev", "tmp", "run/sandbox", "etc", "workspace"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	for _, f := range []string{"etc/resolv.conf", "etc/hosts"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func either(w io.Writer, tail io.Writer) io.Writer {
	if w == nil {
		return tail
	}
	return w
}

// PipeTo gives a file that is copied to w; the returned func ends it and waits for the rest.
func PipeTo(w io.Writer) (*os.File, func(), error) {
	r, pw, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := io.Copy(w, r); err != nil && !errors.Is(err, os.ErrClosed) {
			io.Copy(io.Discard, r)
		}
		r.Close()
	}()
	return pw, func() { pw.Close(); <-done }, nil
}
