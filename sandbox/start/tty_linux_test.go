package start

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is a terminal with a process on it, as a terminal emulator has.
type screen struct {
	t      *testing.T
	fd     int // of master
	master *os.File
	slave  *os.File
	cmd    *exec.Cmd
	mu     sync.Mutex
	text   bytes.Buffer
}

// open runs this binary on a new terminal, in the role of the program that starts a sandbox. With
// shell, a shell with job control runs it instead.
func open(t *testing.T, script string, shell bool) *screen {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	master := os.NewFile(uintptr(fd), "master") // non-blocking, so that closing it hangs up
	unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, fd: fd, master: master, slave: slave}
	s.size(24, 80)
	s.cmd = exec.Command(testBin())
	if shell {
		s.cmd = exec.Command("bash", "--norc", "--noediting", "-i")
	}
	s.cmd.Env = append(os.Environ(), roleEnv+"=sh:"+tree(t)+":"+script, "PS1=outer$ ", "TERM=dumb", "BIN="+testBin(), "START_TEST_PID=1")
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		slave.Close()
		master.Close()
	})
	return s
}

func (s *screen) size(rows, cols uint16) {
	unix.IoctlSetWinsize(s.fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
}

func (s *screen) typeIn(text string) {
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Error(err)
	}
}

// expect waits for text on the screen and forgets what is before it.
func (s *screen) expect(text string) {
	s.t.Helper()
	for range 1000 {
		s.mu.Lock()
		if i := bytes.Index(s.text.Bytes(), []byte(text)); i >= 0 {
			s.text.Next(i + len(text))
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Fatalf("no %q on the screen:\n%s", text, s.text.String())
}

// echo tells whether the user's terminal is in its normal mode.
func (s *screen) echo() bool {
	m, err := unix.IoctlGetTermios(int(s.slave.Fd()), unix.TCGETS)
	return err == nil && m.Lflag&unix.ECHO != 0 && m.Lflag&unix.ICANON != 0
}

func (s *screen) ends(status int) {
	s.t.Helper()
	s.cmd.Wait()
	if got := s.cmd.ProcessState.ExitCode(); got != status {
		s.t.Errorf("exit code %d, want %d\n%s", got, status, s.text.String())
	}
	if !s.echo() {
		s.t.Error("the terminal is left in raw mode")
	}
}

func TestTerminal(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		s := open(t, "stty size; tty; test -t 2 && echo err; read x; echo got $x; trap 'stty size' WINCH; echo wait; while :; do sleep 0.05; done", false)
		s.expect("24 80")
		s.expect("/dev/pts/0")
		s.expect("err")
		if s.echo() {
			t.Error("the terminal is not in raw mode")
		}
		s.typeIn("abc\n")
		s.expect("abc") // echoed by the inner terminal
		s.expect("got abc")
		s.expect("wait")
		s.size(50, 132)
		s.expect("50 132")
		s.typeIn("\x03") // Ctrl-C
		s.ends(130)
	})
}

func TestTerminalOfUser(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		t.Setenv("START_TEST_UID", "1")
		s := open(t, "id -u; stat -c %u:%g $(tty); echo x >/dev/tty; exit 2", false)
		s.expect("1000")
		s.expect("1000:1000")
		s.expect("x")
		s.ends(2)
	})
}

// TestLastOutput: everything that was written arrives before the end.
func TestLastOutput(t *testing.T) {
	for range 5 {
		s := open(t, "seq 1 20000; echo the end; exit 7", false)
		s.ends(7)
		s.expect("20000")
		s.expect("the end")
	}
}

func TestInteractiveShell(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		s := open(t, "", false)
		s.expect("$ ")
		s.typeIn("probe tick\n")
		s.expect("\ntick")
		s.typeIn("\x1a") // Ctrl-Z
		s.expect("Stopped")
		s.typeIn("jobs; fg\n")
		s.expect("Stopped")
		s.expect("\ntick")
		s.typeIn("\x03")
		s.typeIn("echo status $?\n")
		s.expect("status 130")
		s.typeIn("exit 5\n")
		s.ends(5)
	})
}

// TestStopInShell: Ctrl-Z on a program in a sandbox gives the prompt of the shell that started it.
func TestStopInShell(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		s := open(t, "echo up; read x; echo got $x; exit 3", true)
		s.expect("outer$ ")
		s.typeIn("$BIN\n")
		s.expect("up")
		s.typeIn("\x1a")
		s.expect("Stopped")
		s.expect("outer$ ")
		s.typeIn("echo cooked $((1+1))\n")
		s.expect("cooked 2")
		s.typeIn("fg\n")
		s.expect("$BIN") // the shell names what goes on
		s.typeIn("hello\n")
		s.expect("got hello")
		s.expect("outer$ ")
		s.typeIn("echo status $?\n")
		s.expect("status 3")
		s.typeIn("exit\n")
		s.cmd.Wait()
	})
}

// TestStopWithoutTerminal: the same where the output is a pipe, so that there is no inner terminal.
func TestStopWithoutTerminal(t *testing.T) {
	s := open(t, "exec probe tick", true)
	s.expect("outer$ ")
	s.typeIn("$BIN | cat\n")
	s.expect("\ntick")
	s.typeIn("\x1a")
	s.expect("Stopped")
	s.typeIn("bg\n")
	s.expect("\ntick")
	s.typeIn("kill -TERM %1; wait; echo ended $((40+2))\n")
	s.expect("ended 42")
	s.typeIn("exit\n")
	s.cmd.Wait()
}

// TestSignalWithTerminal: a signal to the outer program ends the inner one, and the terminal is whole.
func TestSignalWithTerminal(t *testing.T) {
	s := open(t, "echo up; sleep 1000", false)
	s.expect("up")
	s.cmd.Process.Signal(unix.SIGTERM)
	s.ends(143)
	s = open(t, "trap '' HUP; echo up; sleep 1000", false)
	s.expect("up")
	s.cmd.Process.Signal(unix.SIGQUIT)
	s.ends(131)
}

// TestHangup: closing the window ends what runs in it.
func TestHangup(t *testing.T) {
	// What is caught here is not ignored there, even if these tests run under nohup.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	s := open(t, "echo up; sleep 1000", false)
	s.expect("up")
	s.slave.Close()
	s.master.Close()
	done := make(chan struct{})
	go func() { s.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("still running")
	}
}

// TestParentKilled: the sandbox dies with the program that started it.
func TestParentKilled(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(testBin())
		cmd.Env = append(os.Environ(), roleEnv+"=sh:"+tree(t)+":sleep 1000", "START_TEST_PID=1")
		cmd.Stdout, cmd.Stderr = w, w
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		var pid int
		if _, err := fmt.Fscanf(r, "pid %d\n", &pid); err != nil {
			t.Fatal(err)
		}
		cmd.Process.Kill()
		cmd.Wait()
		for range 1000 {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(b), ") Z ") {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error("the sandbox outlived the program that started it")
	})
}
