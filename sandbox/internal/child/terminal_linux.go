package child

import (
	"golang.org/x/sys/unix"
)

// terminal makes a terminal in the sandbox's own devpts, if one is wanted, and sends its master out.
// The user's terminal is never given to the program: it could type into it.
func (k *compiler) terminal(devpts arg) {
	if k.c.Term == nil || k.tty {
		return
	}
	k.tty = true
	k.label("open a terminal", "devpts", "/dev/pts/ptmx", "")
	master := k.reg()
	slave := k.reg()
	k.slave = num(k.base + slaveSlot)
	zero, size := k.space(8), k.bytes(k.c.Term.Winsize[:])
	k.call(unix.SYS_OPENAT, devpts, k.str("ptmx"), num(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)).to(master)
	k.call(unix.SYS_IOCTL, master, num(unix.TIOCSPTLCK), zero)
	k.call(unix.SYS_IOCTL, master, num(unix.TIOCGPTPEER), num(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)).to(slave)
	k.call(unix.SYS_DUP3, slave, k.slave, num(unix.O_CLOEXEC))
	k.call(unix.SYS_IOCTL, master, num(unix.TIOCSWINSZ), size)
	if len(k.c.Term.Termios) > 0 {
		k.call(unix.SYS_IOCTL, k.slave, num(unix.TCSETS), k.bytes(k.c.Term.Termios))
	}
	k.call(unix.SYS_IOCTL, k.slave, num(unix.TIOCSCTTY), num(0))
	k.send(msgTTY, master)
	k.call(unix.SYS_CLOSE, master)
}

// send sends descriptors and the word what they are.
func (k *compiler) send(kind uint32, fds ...arg) {
	size := 16 + 4*len(fds)
	word, iov, control, msg := k.space(16), k.space(16), k.space(size), k.space(56)
	k.put32(word, 0, kind)
	k.pointer(iov, 0, word)
	k.put64(iov, 8, 16)
	k.put64(control, 0, uint64(size)) // struct cmsghdr: length, level, type, the descriptors
	k.put32(control, 8, unix.SOL_SOCKET)
	k.put32(control, 12, unix.SCM_RIGHTS)
	for i, fd := range fds {
		k.call(doStore32, num(control.v+16+uintptr(4*i)), fd)
	}
	k.pointer(msg, 16, iov) // struct msghdr: name, its length, vector, its length, control, its length, flags
	k.put64(msg, 24, 1)
	k.pointer(msg, 32, control)
	k.put64(msg, 40, uint64(size))
	k.call(unix.SYS_SENDMSG, num(k.base), msg, num(unix.MSG_NOSIGNAL))
}

// foreground makes the program's process group the one that the terminal talks to.
func (k *compiler) foreground() {
	if !k.tty {
		return
	}
	pid, word := k.reg(), k.space(8)
	k.call(unix.SYS_GETPID).to(pid)
	k.call(doStore32, num(word.v), pid)
	k.call(unix.SYS_IOCTL, k.slave, num(unix.TIOCSPGRP), word)
}
