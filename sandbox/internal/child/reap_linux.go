package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reap is pid 1: it collects what dies, passes signals on and ends with the program. All signals
// are blocked, so none is lost and none has an effect of its own.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (p *Program) reap() {
	for {
		sig, _, e := syscall.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&p.sigs)), uintptr(unsafe.Pointer(&p.info)), 0, 8, 0, 0)
		if e != 0 {
			continue // EINTR: stopped and continued
		}
		if syscall.Signal(sig) == syscall.SIGCHLD {
			p.collect()
			continue
		}
		p.forward(sig)
	}
}

// collect waits for all that died or stopped.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (p *Program) collect() {
	for {
		pid, _, e := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&p.status)), unix.WNOHANG|unix.WUNTRACED, 0, 0, 0)
		if e != 0 || pid == 0 {
			return
		}
		if int(pid) != p.payload {
			continue
		}
		if p.status&0xff == 0x7f { // stopped
			p.msg.kind, p.msg.errno = msgStopped, p.status>>8&0xff
			p.send()
			continue
		}
		p.msg.kind, p.msg.aux = msgExited, p.status
		if !p.ownPID {
			p.killRest()
		}
		p.send()
		exit(0)
	}
}

// forward passes a signal on: what a terminal sends goes to the program's process group, as it would
// without us; the rest to the program alone.
//
//go:nosplit
//go:norace
func (p *Program) forward(sig uintptr) {
	to := uintptr(p.payload)
	switch syscall.Signal(sig) {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGCONT, syscall.SIGWINCH, syscall.SIGTTIN, syscall.SIGTTOU:
		to = -to
	case syscall.SIGTERM:
		if !p.ownPID && p.orphan() {
			p.killRest()
			exit(125)
		}
	}
	_, _, e := syscall.RawSyscall(unix.SYS_KILL, to, sig, 0)
	if e == syscall.ESRCH { // it moved to another group
		syscall.RawSyscall(unix.SYS_KILL, uintptr(p.payload), sig, 0)
	}
}

// orphan tells whether the other end of the socket is gone, and our parent with it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (p *Program) orphan() bool {
	fd := struct {
		fd              int32
		events, revents int16
	}{fd: int32(p.ctlIn)}
	var zero [2]int64
	n, _, e := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fd)), 1, uintptr(unsafe.Pointer(&zero)), 0, 0, 0)
	return e == 0 && n == 1 && fd.revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// killRest ends every process of the sandbox where no pid namespace does it. Orphans become children
// of this process, a subreaper; killing goes on until there is no child left.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (p *Program) killRest() {
	for {
		fd, _, e := syscall.RawSyscall6(unix.SYS_OPENAT, p.ctlIn+kidsSlot, uintptr(unsafe.Pointer(&p.children)), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
		if e != 0 {
			return
		}
		n, _, e := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&p.kids)), unsafe.Sizeof(p.kids)-1)
		syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
		if e != 0 || n == 0 {
			return
		}
		pid := uintptr(0)
		for i := uintptr(0); i < n; i++ {
			if c := p.kids[i]; c >= '0' && c <= '9' {
				pid = pid*10 + uintptr(c-'0')
				continue
			}
			if pid > 0 {
				syscall.RawSyscall(unix.SYS_KILL, pid, uintptr(syscall.SIGKILL), 0)
			}
			pid = 0
		}
		if _, _, e := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), 0, 0, 0, 0, 0); e != 0 {
			return
		}
	}
}
