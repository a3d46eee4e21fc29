package tty

import (
	"golang.org/x/sys/unix"
)

// show copies output until the inner terminal is closed by all (EIO).
func (t *Terminal) show() {
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.Read(t.master, buf)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			wait(t.master, unix.POLLIN, -1)
		case err != nil || n == 0:
			return
		default:
			t.print(buf[:n])
		}
	}
}

// print writes all. A terminal that went away takes nothing more; the output is still read, so that
// programs inside do not hang before they hear of it.
func (t *Terminal) print(b []byte) {
	fd := int(t.out.Fd())
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN: // somebody else made the shared terminal non-blocking
			wait(fd, unix.POLLOUT, -1)
		case err != nil:
			return
		default:
			b = b[n:]
		}
	}
}

// typed copies input. It waits before it reads, so that nothing is taken from the terminal after
// Finish. It tells whether the terminal went away.
func (t *Terminal) typed() (gone bool) {
	buf := make([]byte, 4<<10)
	in := int(t.in.Fd())
	for {
		if !wait(in, unix.POLLIN, t.wake[0]) {
			return false
		}
		n, err := unix.Read(in, buf)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil || n <= 0: // in raw mode there is no end of file but a hangup
			return true
		}
		for b := buf[:n]; len(b) > 0; {
			n, err := unix.Write(t.master, b)
			if err == unix.EAGAIN {
				if !wait(t.master, unix.POLLOUT, t.wake[0]) {
					return false
				}
				continue
			}
			if err != nil && err != unix.EINTR {
				return false
			}
			b = b[max(n, 0):]
		}
	}
}

// wait waits for an event on fd; false means that stop became readable.
func wait(fd int, events int16, stop int) bool {
	fds := []unix.PollFd{{Fd: int32(stop), Events: unix.POLLIN}, {Fd: int32(fd), Events: events}}
	for {
		_, err := unix.Poll(fds, -1)
		if err == unix.EINTR {
			continue
		}
		return err == nil && fds[0].Revents == 0
	}
}
