// Command probe runs inside a sandbox in tests and says what a program there can do.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	for _, what := range os.Args[1:] {
		name, arg, _ := strings.Cut(what, "=")
		switch name {
		case "status":
			b, _ := os.ReadFile("/proc/self/status")
			for _, l := range strings.Split(string(b), "\n") {
				k, v, _ := strings.Cut(l, ":")
				if strings.Contains(" CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp SigBlk SigIgn Umask ", " "+k+" ") {
					fmt.Println(k, strings.TrimSpace(v))
				}
			}
		case "fds":
			for fd := range 200 {
				if _, _, e := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0); e == 0 {
					fmt.Println("fd", fd)
				}
			}
		case "env":
			fmt.Println(strings.Join(os.Environ(), "\n"))
		case "write":
			f, err := os.OpenFile(arg, os.O_WRONLY, 0)
			fmt.Println("write", arg, err)
			if err == nil {
				f.Close()
			}
		case "read":
			b, err := os.ReadFile(arg)
			fmt.Printf("read %s %d %v\n", arg, len(b), err)
		case "ls":
			l, err := os.ReadDir(arg)
			fmt.Println("ls", arg, len(l), err)
		case "socket":
			var n int
			fmt.Sscan(arg, &n)
			fd, err := syscall.Socket(n, syscall.SOCK_STREAM, 0)
			if n == 38 {
				fd, err = syscall.Socket(n, syscall.SOCK_SEQPACKET, 0)
			}
			fmt.Println("socket", n, err)
			syscall.Close(fd)
		case "sti":
			c := byte('x')
			_, _, e := syscall.Syscall(syscall.SYS_IOCTL, 0, 0x5412|0xff00000000, uintptr(unsafe.Pointer(&c)))
			fmt.Println("sti", errno(e))
		case "unshare":
			fmt.Println("unshare", syscall.Unshare(syscall.CLONE_NEWNS))
		case "mount":
			fmt.Println("mount", syscall.Mount("x", "/tmp", "tmpfs", 0, ""))
		case "nosys":
			_, _, e := syscall.Syscall(9999, 0, 0, 0)
			fmt.Println("nosys", errno(e))
		case "chown":
			os.WriteFile("/tmp/f", nil, 0o644)
			fmt.Println("chown", os.Chown("/tmp/f", 42, 42))
		case "setuid":
			_, _, e := syscall.RawSyscall(syscall.SYS_SETUID, 42, 0, 0)
			fmt.Println("setuid", errno(e))
		case "mknod":
			fmt.Println("mknod", syscall.Mknod("/tmp/dev", syscall.S_IFCHR|0o600, 1<<8|3), syscall.Mknod("/tmp/whiteout", syscall.S_IFCHR|0o600, 0))
		case "orphans":
			orphans()
		case "rlimit":
			var l syscall.Rlimit
			syscall.Getrlimit(syscall.RLIMIT_CORE, &l)
			fmt.Println("core", l.Cur, l.Max)
		case "sleep":
			time.Sleep(time.Hour)
		case "tick": // dash would do, but it stops badly: while it starts a program it cannot be stopped
			for {
				fmt.Fprintln(os.Stderr, "tick")
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
}

func errno(e syscall.Errno) string {
	if e == 0 {
		return "ok"
	}
	return e.Error()
}

// orphans leaves processes to pid 1 and counts those that stay as zombies.
func orphans() {
	for range 20 {
		exec.Command("sh", "-c", "sleep 0.05 & exit 0").Run()
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		zombies, sleeps := 0, 0
		list, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, f := range list {
			b, _ := os.ReadFile(f)
			if strings.Contains(string(b), "(sleep) ") {
				sleeps++
			}
			if strings.Contains(string(b), ") Z ") {
				zombies++
			}
		}
		if sleeps == 0 || time.Now().After(deadline) {
			fmt.Println("zombies", zombies, "left", sleeps)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
