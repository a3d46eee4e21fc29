// Command bench starts one program as `sandbox run` would, to be timed against other runtimes:
//
//	bench ROOT COMMAND…   ROOT is a folder with mount points; the host's /usr is bound into it
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/sandbox/spec"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

func main() {
	if len(os.Args) == 2 {
		prepare(os.Args[1])
		return
	}
	home, _ := os.UserHomeDir()
	s := &spec.Spec{
		Version: spec.Version, Hostname: "box", Unshare: []spec.Namespace{"user", "mount", "pid", "ipc", "uts"},
		Root:    spec.Root{Lowers: []spec.Lower{{Path: os.Args[1]}}},
		Seccomp: []string{"container", "root"},
		Ops: []spec.Op{
			{Kind: spec.Bind, Source: "/usr", Target: "/usr", Flags: []string{"ro"}},
			{Kind: spec.Bind, Source: home, Target: "/home"},
			{Kind: spec.Tmpfs, Target: "/dev", Data: "mode=755"},
			{Kind: spec.Dir, Target: "/dev/pts"}, {Kind: spec.Dir, Target: "/dev/shm"},
			{Kind: spec.Devpts, Target: "/dev/pts"},
			{Kind: spec.Symlink, Source: "pts/ptmx", Target: "/dev/ptmx"},
			{Kind: spec.Symlink, Source: "/proc/self/fd", Target: "/dev/fd"},
			{Kind: spec.Proc, Target: "/proc"}, {Kind: spec.Tmpfs, Target: "/tmp", Data: "mode=1777"},
		},
		Process: spec.Process{Args: os.Args[2:], Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/", Caps: []string{
			"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
			"CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_SETFCAP",
		}},
	}
	for _, d := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		s.Ops = append(s.Ops, spec.Op{Kind: spec.Device, Source: "/dev/" + d, Target: "/dev/" + d})
	}
	p, err := start.Start(context.Background(), s, start.Options{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(125)
	}
	wait := p.WaitProgram
	if os.Getenv("BENCH_WAIT") != "" {
		wait = p.Wait
	}
	e, _ := wait()
	os.Exit(e.Status())
}

func prepare(dir string) {
	for _, d := range []string{"usr", "home", "proc", "dev", "tmp"} {
		os.MkdirAll(filepath.Join(dir, d), 0o755)
	}
	for _, l := range []string{"bin", "lib", "lib64"} {
		os.Symlink("usr/"+l, filepath.Join(dir, l))
	}
}
