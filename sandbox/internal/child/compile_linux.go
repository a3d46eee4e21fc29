package child

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// Config is what a program needs from this process and machine, beside the spec.
type Config struct {
	UID, GID int    // our effective ids
	Files    []int  // descriptors for 0, 1, 2, 3…; -1 is /dev/null
	NoPID    bool   // share the pid namespace although the spec wants its own
	Rung     Rung   // how overlay is told its layers
	NoFile   uint64 // soft limit of open files for the program, 0 = leave it
	Term     *Term  // make a terminal of the sandbox's own
	Cgroup   int    // descriptor of a cgroup v2 folder to start in, 0 = ours
	Listened bool   // a filter that asks for a listener fails without one
}

// Term is the outer terminal's state, for the inner one.
type Term struct {
	Winsize [8]byte
	Termios []byte // struct termios of TCGETS
	Stderr  bool   // standard error is a terminal too
}

type compiler struct {
	*builder
	s    *spec.Spec
	c    Config
	base int // first of the numbers that kept descriptors get

	procSelf arg // the host's /proc/self
	root     arg // the new root
	rootfs   map[string]arg
	mounts   []mounted
	slave    arg
	tty      bool
	oldMask  arg
	next     int  // next free fixed number
	rootID   bool // uid 0 and gid 0 inside: no second user namespace
}

// mounted is a mount that an operation made; reg is its descriptor if it is a tmpfs of ours.
type mounted struct {
	target string
	tmpfs  bool
	reg    arg
}

// Numbers above Config's that pid 1 keeps, counted from its socket.
const (
	kidsSlot  = 1 // /proc/thread-self, where we share the pid namespace
	slaveSlot = 2 // its terminal: while it is open, reading the master gives no error
	slots     = 3
)

// keptAs is the number that the program's descriptor i has while the child sets up.
func (k *compiler) keptAs(i int) int { return k.base + slots + i }

// Compile turns a spec into a program. Errors are about the spec itself.
func Compile(s *spec.Spec, c Config) (*Program, error) {
	k := &compiler{builder: newBuilder(), s: s, c: c, rootID: s.IDs.UID == 0 && s.IDs.GID == 0}
	if len(s.Process.Args) == 0 || s.Process.Args[0] == "" {
		return nil, errors.New("no program to run")
	}
	ctl, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	p := &Program{ctl: ctl, sigs: ^uint64(0), children: [9]byte([]byte("children\x00"))}
	if err := k.compile(p); err != nil {
		unix.Close(ctl[0])
		unix.Close(ctl[1])
		return nil, err
	}
	return p, nil
}

// Free releases a program that was not forked.
func (p *Program) Free() {
	unix.Close(p.ctl[0])
	unix.Close(p.ctl[1])
}

func (k *compiler) compile(p *Program) error {
	if err := k.namespaces(p); err != nil {
		return err
	}
	k.begin(p)
	k.userns(p)
	k.sources()
	if err := k.makeRoot(); err != nil {
		return err
	}
	if err := k.ops(); err != nil {
		return err
	}
	k.enter()
	if err := k.finish(p); err != nil {
		return err
	}
	p.setup = k.take()
	if err := k.becomeProgram(p); err != nil {
		return err
	}
	p.program = k.take()
	k.label("fork", "process", "", "")
	k.seal()
	p.labels, p.mem, p.base = k.labels, k.mem, unsafe.Pointer(&k.mem[0])
	p.regs = make([]uintptr, k.regs)
	base := uintptr(p.base)
	for i := range p.candidates {
		p.candidates[i] += base
	}
	p.argv += base
	p.envv += base
	return nil
}

func flagOf(n spec.Namespace) uintptr {
	switch n {
	case "user":
		return unix.CLONE_NEWUSER
	case "mount":
		return unix.CLONE_NEWNS
	case "pid":
		return unix.CLONE_NEWPID
	case "ipc":
		return unix.CLONE_NEWIPC
	case "uts":
		return unix.CLONE_NEWUTS
	case "net":
		return unix.CLONE_NEWNET
	case "cgroup":
		return unix.CLONE_NEWCGROUP
	}
	return 0
}

func (k *compiler) namespaces(p *Program) error {
	p.flags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS
	for _, n := range k.s.Unshare {
		f := flagOf(n)
		if f == 0 {
			return fmt.Errorf("unknown namespace %q", n)
		}
		p.flags |= f
	}
	if k.c.NoPID {
		p.flags &^= unix.CLONE_NEWPID
	}
	if k.c.Cgroup > 0 {
		p.clone3[0] = uint64(p.flags) | unix.CLONE_INTO_CGROUP
		p.clone3[4] = uint64(unix.SIGCHLD)
		p.clone3[10] = uint64(k.c.Cgroup)
	}
	p.ownPID = p.flags&unix.CLONE_NEWPID != 0
	return nil
}

// begin blocks signals, ties the child's life to ours and keeps only the descriptors it needs, under
// numbers known here. A descriptor that leaks into a sandbox is a door to the host.
func (k *compiler) begin(p *Program) {
	k.label("prepare", "process", "", "")
	death := unix.SIGKILL
	if !p.ownPID {
		death = unix.SIGTERM // so that it can end the others first
		k.call(unix.SYS_PRCTL, num(unix.PR_SET_CHILD_SUBREAPER), num(1))
	}
	all := k.space(8)
	k.put64(all, 0, ^uint64(0))
	k.oldMask = k.space(8)
	k.call(unix.SYS_RT_SIGPROCMASK, num(unix.SIG_BLOCK), all, k.oldMask, num(8))
	k.call(unix.SYS_PRCTL, num(unix.PR_SET_PDEATHSIG), num(int(death)))
	k.base = max(3+len(k.c.Files), p.ctl[1]+1)
	for _, fd := range k.c.Files {
		k.base = max(k.base, fd+1)
	}
	for i := range slots { // the other slots are occupied too, so that no later descriptor lands there and stays
		k.call(unix.SYS_DUP3, num(p.ctl[1]), num(k.base+i), num(unix.O_CLOEXEC))
	}
	for i, fd := range k.c.Files {
		if fd >= 0 {
			k.call(unix.SYS_DUP3, num(fd), num(k.keptAs(i)), num(unix.O_CLOEXEC))
		}
	}
	p.ctlIn = uintptr(k.base)
	k.next = k.keptAs(len(k.c.Files))
	k.call(unix.SYS_CLOSE_RANGE, num(3), num(k.base-1), num(0))
	k.call(unix.SYS_CLOSE_RANGE, num(k.next), num(^uint32(0)), num(0))
	for i, fd := range k.c.Files {
		if fd < 0 {
			null := k.reg()
			k.label("open", "process", "/dev/null", "")
			k.call(unix.SYS_OPENAT, cwd, k.str("/dev/null"), num(unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY)).to(null)
			k.call(unix.SYS_DUP3, null, num(k.keptAs(i)), num(unix.O_CLOEXEC))
			k.call(unix.SYS_CLOSE, null)
		}
	}
	if !p.ownPID {
		dir := k.reg()
		k.label("open", "process", "/proc/thread-self", "")
		k.call(unix.SYS_OPENAT, cwd, k.str("/proc/thread-self"), num(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)).to(dir)
		k.call(unix.SYS_DUP3, dir, num(k.base+kidsSlot), num(unix.O_CLOEXEC))
		k.call(unix.SYS_CLOSE, dir)
	}
	k.rename(p)
	k.label("session", "process", "", "")
	k.call(unix.SYS_SETSID).ok(unix.EPERM)
	k.call(unix.SYS_UMASK, num(0))
}

// rename hides our command line, which everybody inside could read as that of pid 1. The kernel does
// the first write, since it reports what is not writable instead of dying.
func (k *compiler) rename(p *Program) {
	if len(os.Args) == 0 {
		return
	}
	const name = "sandbox-init"
	k.call(unix.SYS_PRCTL, num(unix.PR_SET_NAME), k.str(name))
	start := unsafe.Pointer(unsafe.StringData(os.Args[0]))
	n := len(os.Args[0])
	for _, a := range os.Args[1:] {
		if unsafe.Pointer(unsafe.StringData(a)) != unsafe.Add(start, n+1) {
			break
		}
		n += 1 + len(a)
	}
	p.args = start
	fd, end := k.reg(), k.target()
	k.call(unix.SYS_OPENAT, cwd, k.str("/dev/zero"), num(unix.O_RDONLY|unix.O_CLOEXEC)).to(fd).or(end, anyErrno)
	k.call(unix.SYS_READ, fd, num(uintptr(start)), num(n)).or(end, anyErrno)
	k.call(doCopy, num(0), k.str(name), num(min(n, len(name))))
	k.place(end)
	k.call(unix.SYS_CLOSE, fd).ok(anyErrno)
}

var cwd = num(unix.AT_FDCWD)

// userns gives the child its ids: container root is the caller.
func (k *compiler) userns(p *Program) {
	k.procSelf = k.reg()
	k.label("open", "ids", "/proc/self", "")
	k.call(unix.SYS_OPENAT, cwd, k.str("/proc/self"), num(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)).to(k.procSelf)
	uid, gid := strconv.Itoa(k.c.UID), strconv.Itoa(k.c.GID)
	if o := k.s.IDs.Owner; o != nil && (o.UID != 0 || o.GID != 0) {
		// Two lines need privileges in our own user namespace: we write them and then say go.
		p.maps[0], p.maps[1] = "0 "+uid+" 1\n", "0 "+gid+" 1\n"
		if o.UID != 0 {
			p.maps[0] += fmt.Sprintf("%d %d 1\n", o.UID, o.UID)
		}
		if o.GID != 0 {
			p.maps[1] += fmt.Sprintf("%d %d 1\n", o.GID, o.GID)
		}
		k.label("wait for the id map", "ids", "", "")
		n, word := k.reg(), k.space(8)
		k.call(unix.SYS_READ, num(p.ctlIn), word, num(1)).to(n)
		k.call(doEqual, n, num(1), num(unix.EPIPE))
		k.label("drop groups", "ids", "", "")
		k.call(unix.SYS_SETGROUPS, num(0), num(0))
		return
	}
	k.writeMaps("0 "+uid+" 1", "0 "+gid+" 1")
}

// writeMaps is the part that needs no privilege: one id, our own, and no setgroups any more.
func (k *compiler) writeMaps(uid, gid string) {
	for _, f := range [][2]string{{"setgroups", "deny"}, {"uid_map", uid}, {"gid_map", gid}} {
		fd := k.reg()
		k.label("id map", "ids", "/proc/self/"+f[0], "")
		k.call(unix.SYS_OPENAT, k.procSelf, k.str(f[0]), num(unix.O_WRONLY|unix.O_CLOEXEC)).to(fd)
		k.call(unix.SYS_WRITE, fd, k.str(f[1]), num(len(f[1])))
		k.call(unix.SYS_CLOSE, fd)
	}
}
