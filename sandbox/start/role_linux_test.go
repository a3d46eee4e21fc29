package start

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// play is what a re-executed test binary does instead of testing: it is the program that starts a
// sandbox, as the command line tool is.
func play(role string) int {
	name, rest, _ := strings.Cut(role, ":")
	dir, script, _ := strings.Cut(rest, ":")
	switch name {
	case "sh": // passes everything on, as `sandbox run` does
		s := base(dir, "sh", "-c", script)
		s.Process.Env = append(s.Process.Env, "PS1=$ ", "TERM=dumb")
		if os.Getenv("START_TEST_UID") != "" {
			s.IDs = spec.IDs{UID: 1000, GID: 1000}
		}
		if script == "" {
			s.Process.Args = []string{"bash", "--norc", "--noediting", "-i"}
		}
		p, err := Start(context.Background(), s, Options{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Forward: true})
		if err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			return 125
		}
		if os.Getenv("START_TEST_PID") != "" {
			fmt.Println("pid", p.Pid())
		}
		e, _ := p.Wait()
		return e.Status()
	case "listened": // what a start says where somebody listens to its calls already
		if err := listened(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		upper := filepath.Join(dir, "upper")
		s := base(filepath.Join(dir, "tree"), "sh", "-c", "touch /opt/x; chown 1:1 /opt/x")
		s.Seccomp = []string{"container", "root", "owners"}
		s.Root.Upper, s.Root.Work = upper, filepath.Join(dir, "work")
		_, e, err := output(s, Options{})
		fmt.Println(e.Status(), err)
		_, _, err = output(s, Options{Remember: true})
		fmt.Println(err)
		return 0
	}
	return 125
}

// listened loads a filter that lets everything through and has a listener.
func listened() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	code := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000}}
	prog := unix.SockFprog{Len: 1, Filter: &code[0]}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog))); e != 0 {
		return fmt.Errorf("seccomp: %w", e)
	}
	return nil
}
