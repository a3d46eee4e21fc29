package start

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

func TestExit(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		dir := tree(t)
		for script, status := range map[string]int{"exit 0": 0, "exit 3": 3, "exit 255": 255, "kill -TERM $$": 143, "kill -KILL $$": 137} {
			if _, e := run(t, base(dir, "sh", "-c", script)); e.Status() != status {
				t.Errorf("%s: %+v", script, e)
			}
		}
	})
}

func TestNotExecuted(t *testing.T) {
	dir := tree(t)
	file := func(name, content string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, "opt", name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	file("script", "#!/no/such/python -u\nprint()\n", 0o755)
	file("dos", "#!/bin/sh\r\necho\r\n", 0o755)
	file("text", "hello\n", 0o755)
	file("mode", "#!/bin/sh\n", 0o644)
	arm := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00\x01\x00\x00\x00")
	file("arm", string(append(arm, make([]byte, 64)...)), 0o755)
	for _, c := range []struct {
		program, says string
		status        int
	}{
		{"nope", "nope: not found", 127}, {"/opt/nope", "/opt/nope: not found", 127}, {"/opt/text/x", "not found", 127},
		{"/opt/script", "/no/such/python does not exist", 126}, {"/opt/dos", "Windows line ends", 126},
		{"/opt/text", "not a program", 126}, {"/opt/mode", "not executable", 126}, {"/opt", "a folder", 126},
		{"/opt/arm", "built for arm64", 126},
	} {
		e := fails(t, base(dir, c.program))
		if e.Status() != c.status || !strings.Contains(e.Error(), c.says) {
			t.Errorf("%s: status %d: %v", c.program, e.Status(), e)
		}
	}
	s := base(dir, "sh")
	s.Process.Env = []string{"PATH=:.:relative:/nope:/usr/bin"}
	if _, e := run(t, s); e.Status() != 0 {
		t.Error("PATH with odd entries", e)
	}
}

// TestFailedSteps checks that an error names what failed and who asked for it.
func TestFailedSteps(t *testing.T) {
	dir := tree(t)
	for name, c := range map[string]struct {
		change func(*spec.Spec)
		want   Error
	}{
		"lower":  {func(s *spec.Spec) { s.Root.Lowers[0].Path = "/nope" }, Error{Op: "open layer", Kind: "root", Path: "/nope", Errno: unix.ENOENT, Why: "test"}},
		"source": {func(s *spec.Spec) { s.Ops[0].Source = "/nope" }, Error{Op: "bind", Kind: "bind", Path: "/nope", Errno: unix.ENOENT, Why: "programs"}},
		"target": {func(s *spec.Spec) { s.Ops[0].Target = "/nope" }, Error{Op: "bind", Kind: "bind", Path: "/nope", Errno: unix.ENOENT, Why: "programs"}},
		"device": {func(s *spec.Spec) { s.Ops[len(s.Ops)-1].Source = "/etc/passwd" }, Error{Op: "device", Kind: "device", Path: "/etc/passwd", Errno: unix.ENODEV}},
		"dir":    {func(s *spec.Spec) { s.Process.Dir = "/nope" }, Error{Op: "working folder", Kind: "process", Path: "/nope", Errno: unix.ENOENT}},
	} {
		s := base(dir, "true")
		c.change(s)
		if e := fails(t, s); *e != c.want {
			t.Errorf("%s: %#v", name, e)
		}
	}
	for name, change := range map[string]func(*spec.Spec){
		"relative target": func(s *spec.Spec) { s.Ops[0].Target = "usr" },
		"dots":            func(s *spec.Spec) { s.Ops[0].Target = "/../usr" },
		"file elsewhere":  func(s *spec.Spec) { s.Ops = append(s.Ops, spec.Op{Kind: spec.File, Target: "/etc/x", Content: "x"}) },
		"file on a bind":  func(s *spec.Spec) { s.Ops = append(s.Ops, spec.Op{Kind: spec.File, Target: "/usr/x", Content: "x"}) },
		"kind":            func(s *spec.Spec) { s.Ops[0].Kind = "hook" },
		"capability":      func(s *spec.Spec) { s.Process.Caps = []string{"CAP_ALL"} },
		"filter":          func(s *spec.Spec) { s.Seccomp = []string{"no"} },
		"namespace":       func(s *spec.Spec) { s.Unshare = append(s.Unshare, "time") },
		"no program":      func(s *spec.Spec) { s.Process.Args = nil },
		"no layer":        func(s *spec.Spec) { s.Root = spec.Root{} },
		"zero byte":       func(s *spec.Spec) { s.Process.Env = []string{"A=b\x00c"} },
	} {
		s := base(dir, "true")
		change(s)
		if p, err := Start(context.Background(), s, Options{}); err == nil {
			p.Wait()
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSignals(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGKILL} {
			if signal.Ignored(sig) { // under nohup a program ignores it inside, too
				continue
			}
			p, err := Start(context.Background(), base(tree(t), "sleep", "1000"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Signal(sig); err != nil {
				t.Error(err)
			}
			if e, err := p.Wait(); err != nil || e.Signal != sig {
				t.Errorf("%v: %+v, %v", sig, e, err)
			}
			if err := p.Signal(sig); err != os.ErrProcessDone {
				t.Errorf("signal after the end: %v", err)
			}
		}
	})
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p, err := Start(ctx, base(tree(t), "sleep", "1000"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if e, _ := p.Wait(); e.Signal != unix.SIGKILL {
		t.Errorf("%+v", e)
	}
	if _, err := Start(ctx, base(tree(t), "true"), Options{}); err != context.Canceled {
		t.Error(err)
	}
}

func TestZombies(t *testing.T) {
	out, _ := run(t, base(tree(t), "probe", "orphans"))
	want(t, out, "zombies 0 left 0")
}

// TestRestDies checks that nothing survives the program, not even what left its session.
func TestRestDies(t *testing.T) {
	mark := fmt.Sprint("7", os.Getpid(), time.Now().UnixNano()%1e6)
	_, e := run(t, base(tree(t), "sh", "-c", "setsid sleep "+mark+" & sleep 0.1; exit 4"))
	if e.Code != 4 {
		t.Errorf("%+v", e)
	}
	if pids := find(mark); len(pids) > 0 {
		t.Errorf("still there: %v", pids)
	}
}

// find gives the processes with a word on their command line.
func find(word string) (pids []string) {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range list {
		if b, err := os.ReadFile(f); err == nil && strings.Contains("\x00"+string(b), "\x00"+word+"\x00") {
			pids = append(pids, f)
		}
	}
	return pids
}

func TestParallel(t *testing.T) {
	dir := tree(t)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			out, e, err := output(base(dir, "sh", "-c", fmt.Sprintf("ls /proc/self/fd | wc -l; exit %d", i)), Options{})
			if err != nil || e.Code != i || strings.TrimSpace(out) != "4" {
				t.Errorf("%d: %q %+v %v", i, out, e, err)
			}
		}()
	}
	wg.Wait()
}

// The kernel's word for a full disk is also its word for a limit that is reached.
func TestOnlyAnOverlayFindsADiskFull(t *testing.T) {
	for op, full := range map[string]bool{"clone": false, "mount": false, "mount overlay": true} {
		if got := errors.Is(&Error{Op: op, Errno: unix.ENOSPC}, unix.ENOSPC); got != full {
			t.Errorf("%s: %t", op, got)
		}
	}
	if !errors.Is(&Error{Op: "clone", Errno: unix.EPERM}, unix.EPERM) {
		t.Error("another errno is not given")
	}
}
