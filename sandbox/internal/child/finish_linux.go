package child

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/internal/seccomp"
)

// defaultPath is where programs are looked up when the environment has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// enter makes the new root the root, lets go of the old one and goes to the working folder.
func (k *compiler) enter() {
	k.label("pivot_root", "root", "/", "")
	k.call(unix.SYS_FCHDIR, k.root)
	k.call(unix.SYS_PIVOT_ROOT, k.str("."), k.str("."))
	k.call(unix.SYS_UMOUNT2, k.str("."), num(unix.MNT_DETACH))
	k.call(unix.SYS_CHDIR, k.str("/"))
	dir := k.s.Process.Dir
	if dir == "" {
		dir = "/"
	}
	k.label("working folder", "process", dir, "")
	fd := k.reg()
	k.call(unix.SYS_OPENAT2, k.root, k.str(dir), k.how(dirPath, inRoot), num(sizeHow)).to(fd)
	k.call(unix.SYS_FCHDIR, fd)
}

// finish takes away what the program must not have.
func (k *compiler) finish(p *Program) error {
	if has(namesOf(k.s.Unshare), "uts") && k.s.Hostname != "" {
		k.label("hostname", "process", k.s.Hostname, "")
		k.call(unix.SYS_SETHOSTNAME, k.str(k.s.Hostname), num(len(k.s.Hostname)))
	}
	if err := k.limits(); err != nil {
		return err
	}
	if !k.rootID {
		// Mounting devpts needs a mapped uid 0, so the program's own ids come with a second namespace.
		k.label("second user namespace", "ids", "", "")
		k.call(unix.SYS_UNSHARE, num(unix.CLONE_NEWUSER))
		k.writeMaps(strconv.Itoa(k.s.IDs.UID)+" 0 1", strconv.Itoa(k.s.IDs.GID)+" 0 1")
	}
	if err := k.capabilities(); err != nil {
		return err
	}
	k.label("give up privileges", "process", "", "")
	k.call(unix.SYS_PRCTL, num(unix.PR_SET_NO_NEW_PRIVS), num(1))
	// This process is a copy of the caller with all its memory: nobody inside may look at it.
	k.call(unix.SYS_PRCTL, num(unix.PR_SET_DUMPABLE), num(0))
	return k.alive(p)
}

// alive ends the start if the parent died before its death could be signalled.
func (k *compiler) alive(p *Program) error {
	poll, zero, n, end := k.space(8), k.space(16), k.reg(), k.target()
	k.put32(poll, 0, uint32(p.ctlIn))
	k.label("parent is gone", "process", "", "")
	k.call(unix.SYS_PPOLL, poll, num(1), zero, num(0), num(0)).to(n)
	k.call(doEqual, n, num(0), num(unix.EPIPE)).then(end)
	k.place(end)
	return nil
}

// limitNames are the resource limits by number.
var limitNames = [...]string{
	"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime",
}

// limits are cut to our own hard limits, which only root can raise.
func (k *compiler) limits() error {
	nofile := k.c.NoFile > 0
	for _, l := range k.s.Process.Rlimit {
		n := slices.Index(limitNames[:], l.Name)
		if n < 0 {
			return fmt.Errorf("unknown resource limit %q", l.Name)
		}
		nofile = nofile && l.Name != "nofile"
		var have unix.Rlimit
		if err := unix.Getrlimit(n, &have); err != nil {
			return fmt.Errorf("limit %s: %w", l.Name, err)
		}
		k.limit(n, min(l.Soft, l.Hard, have.Max), min(l.Hard, have.Max), l.Name)
	}
	if nofile {
		var have unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &have); err == nil && k.c.NoFile < have.Cur {
			k.limit(unix.RLIMIT_NOFILE, k.c.NoFile, have.Max, "nofile")
		}
	}
	return nil
}

func (k *compiler) limit(n int, soft, hard uint64, name string) {
	k.label("limit", "process", name, "")
	a := k.space(16)
	k.put64(a, 0, soft)
	k.put64(a, 8, hard)
	k.call(unix.SYS_PRLIMIT64, num(0), num(n), a, num(0))
}

// becomeProgram is the table of the program's own process: session, descriptors, filters, names to try.
func (k *compiler) becomeProgram(p *Program) error {
	k.label("start", "process", "", "")
	if !p.ownPID {
		k.call(unix.SYS_PRCTL, num(unix.PR_SET_PDEATHSIG), num(int(unix.SIGKILL)))
	}
	// A process group of its own in the session of pid 1: so stop signals work, which the kernel
	// does not deliver to a group whose parents are all in other sessions.
	k.call(unix.SYS_SETPGID, num(0), num(0))
	k.foreground()
	for i := range k.c.Files {
		from := num(k.keptAs(i))
		if k.tty && (i < 2 || i == 2 && k.c.Term.Stderr) {
			from = k.slave
		}
		k.call(unix.SYS_DUP3, from, num(i), num(0))
	}
	k.call(unix.SYS_CLOSE_RANGE, num(len(k.c.Files)), num(^uint32(0)), num(unix.CLOSE_RANGE_CLOEXEC))
	umask := k.s.Process.Umask
	if umask == 0 {
		umask = 0o022
	}
	k.call(unix.SYS_UMASK, num(umask))
	k.call(unix.SYS_RT_SIGPROCMASK, num(unix.SIG_SETMASK), k.oldMask, num(0), num(8))
	if err := k.filters(); err != nil {
		return err
	}
	return k.lookup(p)
}

func (k *compiler) filters() error {
	names := k.s.Seccomp
	k.label("seccomp filter", "process", strings.Join(names, "+"), "")
	end := k.target()
	if seccomp.Asks(names) {
		if err := k.listened(names, end); err != nil {
			return err
		}
		names = seccomp.Without(names)
	}
	prog, err := k.filter(names)
	if err != nil {
		return err
	}
	if prog != (arg{}) {
		k.call(unix.SYS_SECCOMP, num(unix.SECCOMP_SET_MODE_FILTER), num(unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW), prog)
	}
	k.place(end)
	return nil
}

// listened loads the filters with a listener, sends it to the parent and goes on at end. Where there
// can be none, because whatever runs us listens to us itself, it goes on with the next instruction, or
// fails if a listener must be.
func (k *compiler) listened(names []string, end int32) error {
	prog, err := k.filter(names)
	if err != nil {
		return err
	}
	fd, root := k.reg(), k.reg()
	k.call(unix.SYS_OPENAT, cwd, k.str("/"), num(dirPath)).to(root)
	loaded, older := k.target(), k.target()
	flags := unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	// Since 5.19 a signal does not start a call anew that is being answered: Go programs signal themselves all the time.
	k.call(unix.SYS_SECCOMP, num(unix.SECCOMP_SET_MODE_FILTER), num(flags|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV), prog).
		to(fd).then(loaded).or(older, unix.EINVAL, unix.EBUSY)
	k.place(older)
	last, none := k.call(unix.SYS_SECCOMP, num(unix.SECCOMP_SET_MODE_FILTER), num(flags), prog).to(fd), k.target()
	if !k.c.Listened {
		last.or(none, unix.EINVAL, unix.EBUSY)
	}
	k.place(loaded)
	k.send(msgListener, fd, root)
	k.call(unix.SYS_CLOSE, fd)
	k.call(unix.SYS_CLOSE, root)
	k.jump(end)
	k.place(none)
	k.call(unix.SYS_CLOSE, root)
	return nil
}

// filter lays out the program of these filters: a struct sock_fprog, or the zero arg for none.
func (k *compiler) filter(names []string) (arg, error) {
	filter, err := seccomp.Filter(names)
	if err != nil || len(filter) == 0 {
		return arg{}, err
	}
	// Without the flag SPEC_ALLOW, kernels before 5.16 slow down everything that has a filter (speculative store bypass).
	code, prog := k.bytes([]byte(filter)), k.space(16)
	k.mem[prog.v], k.mem[prog.v+1] = byte(len(filter)/8), byte(len(filter)/8>>8)
	k.pointer(prog, 8, code)
	return prog, nil
}

// lookup lists the paths to try, as execvp would, in the PATH that the program gets.
func (k *compiler) lookup(p *Program) error {
	pr := &k.s.Process
	p.name = pr.Args[0]
	if strings.Contains(p.name, "/") {
		p.paths = []string{p.name}
	} else {
		list := defaultPath
		for _, e := range pr.Env {
			if v, ok := strings.CutPrefix(e, "PATH="); ok {
				list = v
				break
			}
		}
		for _, dir := range strings.Split(list, ":") {
			if path.IsAbs(dir) { // an empty or relative entry would run what lies in the working folder
				p.paths = append(p.paths, path.Join(dir, p.name))
			}
		}
	}
	for _, s := range p.paths {
		p.candidates = append(p.candidates, k.str(s).v)
	}
	for _, s := range append(append([]string{}, pr.Args...), pr.Env...) {
		if strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("argument or variable with a zero byte: %q", s)
		}
	}
	p.argv, p.envv = k.pointers(pr.Args).v, k.pointers(pr.Env).v
	return nil
}
