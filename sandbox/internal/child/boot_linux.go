package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

func rawVfork(flags uintptr) (pid, errno uintptr)

// What the child says. A message is one packet.
const (
	msgStarted  = iota + 1 // the program is executed
	msgFailed              // label, errno
	msgNoExec              // errno, aux is the candidate; data the first bytes of a file that exists
	msgTTY                 // carries the master of the terminal
	msgStopped             // errno is the stop signal
	msgExited              // aux is the wait status
	msgListener            // carries the listener of the filter and the root
)

type message struct {
	kind, label, errno, aux uint32
	data                    [256]byte
}

// clone starts the child. The caller stays on its thread until the child is reaped, because the
// child's parent-death signal belongs to the thread, not to the process.
//
//go:noinline
//go:norace
//go:nocheckptr
func (p *Program) clone() (pid uintptr, errno syscall.Errno) {
	syscall.ForkLock.Lock()
	beforeFork()
	if p.clone3[0] != 0 {
		pid, _, errno = syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&p.clone3)), unsafe.Sizeof(p.clone3), 0)
	} else {
		pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, p.flags|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	}
	if errno != 0 || pid != 0 {
		afterFork()
		syscall.ForkLock.Unlock()
		return
	}
	afterForkInChild()
	p.boot()
	return
}

// boot is the life of the child. It never returns.
//
//go:nosplit
//go:noinline
//go:norace
//go:nocheckptr
func (p *Program) boot() {
	if label, e := p.run(p.setup); e != 0 {
		p.fail(msgFailed, uint32(label), e)
	}
	p.msg.kind = 0
	pid, e := rawVfork(unix.CLONE_VM | unix.CLONE_VFORK | uintptr(syscall.SIGCHLD))
	if e == 0 && pid == 0 {
		p.becomeProgram()
	}
	if e != 0 {
		p.fail(msgFailed, uint32(len(p.labels)-1), syscall.Errno(e))
	}
	if p.msg.kind != 0 { // written by the program's process, whose memory was ours until now
		p.send()
		exit(125)
	}
	p.payload = int(pid)
	p.msg.kind = msgStarted
	p.send()
	p.closeAll()
	p.reap()
}

// becomeProgram runs in the process of the program, on the stack and memory of pid 1, which waits.
//
//go:nosplit
//go:noinline
//go:norace
//go:nocheckptr
func (p *Program) becomeProgram() {
	if label, e := p.run(p.program); e != 0 {
		p.msg.kind, p.msg.label, p.msg.errno = msgFailed, uint32(label), uint32(e)
		exit(125)
	}
	last := syscall.ENOENT
	p.msg.aux = ^uint32(0)
	for i, path := range p.candidates {
		_, _, e := syscall.RawSyscall(unix.SYS_EXECVE, path, p.argv, p.envv)
		switch e {
		case syscall.ENOENT, syscall.ENOTDIR:
			// The file is there: then its interpreter is not.
			if p.msg.aux == ^uint32(0) && p.peek(path) {
				p.msg.aux = uint32(i)
			}
			continue
		case syscall.EACCES:
			if last == syscall.ENOENT {
				last = e
				p.msg.aux = uint32(i)
			}
			continue
		}
		last = e
		p.msg.aux = uint32(i)
		p.peek(path)
		break
	}
	p.msg.kind, p.msg.errno = msgNoExec, uint32(last)
	exit(125)
}

// peek reads the first bytes of a file for the message.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (p *Program) peek(path uintptr) bool {
	cwd := unix.AT_FDCWD
	fd, _, e := syscall.RawSyscall6(unix.SYS_OPENAT, uintptr(cwd), path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0, 0, 0)
	if e != 0 {
		_, _, e = syscall.RawSyscall(unix.SYS_FACCESSAT, uintptr(cwd), path, unix.F_OK)
		return e == 0
	}
	syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&p.msg.data)), unsafe.Sizeof(p.msg.data))
	return true
}

//go:nosplit
//go:norace
//go:nocheckptr
func (p *Program) fail(kind, label uint32, e syscall.Errno) {
	p.msg.kind, p.msg.label, p.msg.errno = kind, label, uint32(e)
	p.send()
	exit(125)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (p *Program) send() {
	syscall.RawSyscall6(unix.SYS_SENDTO, p.ctlIn, uintptr(unsafe.Pointer(&p.msg)), unsafe.Sizeof(p.msg), unix.MSG_NOSIGNAL, 0, 0)
}

//go:nosplit
//go:norace
func exit(code uintptr) {
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, code, 0, 0)
	}
}

// closeAll leaves pid 1 with what it needs itself: it must not hold the program's pipes open.
//
//go:nosplit
//go:norace
func (p *Program) closeAll() {
	syscall.RawSyscall(unix.SYS_CLOSE_RANGE, 0, p.ctlIn-1, 0)
	syscall.RawSyscall(unix.SYS_CLOSE_RANGE, p.ctlIn+slots, uintptr(^uint32(0)), 0)
}
