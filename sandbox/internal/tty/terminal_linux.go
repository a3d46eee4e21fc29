package tty

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Terminal is the user's terminal. Its methods are safe for concurrent use.
type Terminal struct {
	in, out *os.File
	// Stderr tells whether standard error is a terminal too.
	Stderr bool

	mu     sync.Mutex
	saved  unix.Termios
	raw    bool
	master int
	wake   [2]int // a pipe that ends the relay of input
	done   chan struct{}
	typing chan struct{}
}

// Find gives the terminal when both standard input and output are one.
func Find(stdin, stdout, stderr *os.File) (*Terminal, bool) {
	if stdin == nil || stdout == nil {
		return nil, false
	}
	t := &Terminal{in: stdin, out: stdout, master: -1}
	state, err := unix.IoctlGetTermios(int(stdin.Fd()), unix.TCGETS)
	if err != nil {
		return nil, false
	}
	if _, err := unix.IoctlGetTermios(int(stdout.Fd()), unix.TCGETS); err != nil {
		return nil, false
	}
	t.saved = *state
	if stderr != nil {
		_, err := unix.IoctlGetTermios(int(stderr.Fd()), unix.TCGETS)
		t.Stderr = err == nil
	}
	return t, true
}

// Termios is the terminal's mode as the kernel's TCSETS takes it: the inner terminal starts with it.
func (t *Terminal) Termios() []byte {
	const size = 36 // the kernel's struct termios is shorter than the C library's
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&t.saved)), size)...)
}

// Winsize is its struct winsize.
func (t *Terminal) Winsize() (size [8]byte) {
	if w, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ); err == nil {
		size = *(*[8]byte)(unsafe.Pointer(w))
	}
	return size
}

// Attach takes over the master of the sandbox's terminal, puts the user's into raw mode and relays
// until [Terminal.Finish]. hangup is called when the user's terminal goes away.
func (t *Terminal) Attach(master int, hangup func()) error {
	if err := unix.Pipe2(t.wake[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return err
	}
	if err := unix.SetNonblock(master, true); err != nil {
		return err
	}
	t.mu.Lock()
	t.master = master
	t.mu.Unlock()
	t.done, t.typing = make(chan struct{}), make(chan struct{})
	t.Resume()
	go func() { defer close(t.done); t.show() }()
	go func() {
		defer close(t.typing)
		if t.typed() {
			hangup()
		}
	}()
	return nil
}

// Resize gives the inner terminal the size of the outer one; its programs get SIGWINCH.
func (t *Terminal) Resize() {
	w, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && t.master >= 0 {
		unix.IoctlSetWinsize(t.master, unix.TIOCSWINSZ, w)
	}
}

// Resume goes (back) to raw mode: every key is for the inner terminal.
func (t *Terminal) Resume() {
	t.mu.Lock()
	if !t.raw && t.master >= 0 {
		r := t.saved
		r.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		r.Oflag &^= unix.OPOST
		r.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		r.Cflag = r.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
		r.Cc[unix.VMIN], r.Cc[unix.VTIME] = 1, 0
		t.raw = unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETSW, &r) == nil
	}
	t.mu.Unlock()
	t.Resize()
}

// Suspend gives the user's terminal back as it was.
func (t *Terminal) Suspend() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.raw {
		unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETSW, &t.saved)
		t.raw = false
	}
}

// Finish waits for the last output, which ends when every process of the sandbox is gone, and gives
// the user's terminal back. Bytes typed meanwhile stay for who reads next.
func (t *Terminal) Finish() {
	if t.done == nil {
		return
	}
	unix.Write(t.wake[1], []byte{0})
	<-t.typing
	<-t.done
	t.Suspend()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, fd := range []int{t.master, t.wake[0], t.wake[1]} {
		unix.Close(fd)
	}
	t.master = -1
}
