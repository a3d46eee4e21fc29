package child

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Kind of an [Event].
type Kind uint32

// What [Child.Recv] can give.
const (
	Started Kind = msgStarted // the program is executed
	Failed  Kind = msgFailed  // a step failed; the child is gone
	NoExec  Kind = msgNoExec  // no candidate could be executed; the child is gone
	TTY     Kind = msgTTY     // File is the master of the terminal
	Stopped Kind = msgStopped // the program was stopped by a signal
	Exited  Kind = msgExited  // the program ended; what it left behind is being killed
	// Listener: FD is that of a filter with "owners", Root the sandbox's root folder. It comes before Started.
	Listener Kind = msgListener
	Gone     Kind = 0 // the child is gone, without a word if nothing came before
)

// Event is what the child reports.
type Event struct {
	Kind   Kind
	Label  Label          // Failed
	Errno  syscall.Errno  // Failed, NoExec
	Signal syscall.Signal // Stopped
	Status syscall.WaitStatus
	Path   string // NoExec: the file that was tried, or empty when none was found
	Head   []byte // NoExec: its first bytes, when they could be read
	FD     int    // TTY, Listener
	Root   int    // Listener
}

// Child is a running child.
type Child struct {
	Pid  int
	ctl  int
	prog *Program
}

// Fork starts p. It must be called on a locked thread that stays until the child is reaped, see
// [Program.clone]. A program runs once.
func (p *Program) Fork() (*Child, error) {
	pid, errno := p.clone()
	runtime.KeepAlive(p)
	unix.Close(p.ctl[1])
	if errno != 0 {
		unix.Close(p.ctl[0])
		return nil, errno
	}
	return &Child{Pid: int(pid), ctl: p.ctl[0], prog: p}, nil
}

// WriteMaps writes the id maps that only this side may write, and lets the child go on.
func (c *Child) WriteMaps() (file string, err error) {
	if c.prog.maps[0] == "" {
		return "", nil
	}
	for i, name := range []string{"uid_map", "gid_map"} {
		file = "/proc/" + strconv.Itoa(c.Pid) + "/" + name
		if err := os.WriteFile(file, []byte(c.prog.maps[i]), 0); err != nil {
			return file, err
		}
	}
	_, err = unix.Write(c.ctl, []byte{1})
	return "", err
}

// Recv waits for the next event.
func (c *Child) Recv() Event {
	var m message
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&m)), unsafe.Sizeof(m))
	oob := make([]byte, unix.CmsgSpace(2*4))
	for {
		n, oobn, _, _, err := unix.Recvmsg(c.ctl, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n < 16 {
			return Event{Kind: Gone}
		}
		return c.event(&m, oob[:oobn])
	}
}

func (c *Child) event(m *message, oob []byte) Event {
	e := Event{Kind: Kind(m.kind), Errno: syscall.Errno(m.errno), FD: -1, Root: -1}
	switch e.Kind {
	case Failed:
		if int(m.label) < len(c.prog.labels) {
			e.Label = c.prog.labels[m.label]
		}
	case NoExec:
		if int(m.aux) < len(c.prog.paths) {
			e.Path = c.prog.paths[m.aux]
		}
		e.Head = bytes.TrimRight(m.data[:], "\x00")
	case TTY:
		if fds := rights(oob); len(fds) == 1 {
			e.FD = fds[0]
		}
	case Listener:
		if fds := rights(oob); len(fds) == 2 {
			e.FD, e.Root = fds[0], fds[1]
		}
	case Stopped:
		e.Signal = syscall.Signal(m.errno)
	case Exited:
		e.Status = syscall.WaitStatus(m.aux)
	}
	return e
}

// rights are the descriptors of a message.
func rights(oob []byte) []int {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(list) != 1 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&list[0])
	if err != nil {
		return nil
	}
	return fds
}

// Reap waits until the child is gone, and every process of its pid namespace with it.
func (c *Child) Reap() syscall.WaitStatus {
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(c.Pid, &ws, 0, nil)
		if err != syscall.EINTR {
			return ws
		}
	}
}

// Close closes this side's end of the socket, after Reap.
func (c *Child) Close() { unix.Close(c.ctl) }
