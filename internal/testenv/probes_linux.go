package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func program(name string) func() error {
	return func() error {
		_, err := exec.LookPath(name)
		return err
	}
}

func programs(names ...string) func() error {
	return func() error {
		var errs []error
		for _, n := range names {
			errs = append(errs, program(n)())
		}
		return errors.Join(errs...)
	}
}

// output runs a program for at most 90 seconds; what it says becomes the error.
func output(cmd *exec.Cmd) error {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	bound := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...)
	bound.Env, bound.Dir, bound.SysProcAttr = cmd.Env, cmd.Dir, cmd.SysProcAttr
	out, err := bound.CombinedOutput()
	if err != nil {
		if msg := strings.TrimSpace(string(out)); msg != "" {
			return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, msg[strings.LastIndexByte(msg, '\n')+1:])
		}
		return fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	}
	return nil
}

// newUser is a user namespace with the caller as its root.
func newUser(flags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

func probeUserns() error {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = newUser(syscall.CLONE_NEWNS)
	return output(cmd)
}

func probeOverlay() error {
	dir, err := os.MkdirTemp("", "overlay")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, d := range []string{"l", "u", "w", "m"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	cmd := exec.Command("mount", "-t", "overlay", "-o", "userxattr,lowerdir=l,upperdir=u,workdir=w", "overlay", "m")
	cmd.Dir, cmd.SysProcAttr = dir, newUser(syscall.CLONE_NEWNS)
	return output(cmd)
}

func probeRoot() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("uid %d", os.Geteuid())
	}
	return nil
}

// asRoot is programs that only root can use.
func asRoot(names ...string) func() error {
	return func() error { return errors.Join(probeRoot(), programs(names...)()) }
}

func probePodman() error {
	if probeRoot() != nil {
		if err := probeSubuid(); err != nil {
			return err
		}
	}
	return programs("podman", "runc")()
}

func probeMknod() error {
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	const gpu = 195<<8 | 255 // a driver that need not be there
	return os.NewSyscallError("mknod", syscall.Mknod(filepath.Join(dir, "node"), syscall.S_IFCHR|0o600, gpu))
}

func probeUsers() error {
	if err := probeRoot(); err != nil {
		return fmt.Errorf("only root can become another user: %w", err)
	}
	if _, err := user.Lookup(WithSubuid); err != nil {
		return err
	}
	if _, err := user.Lookup(WithoutSubuid); err != nil {
		return err
	}
	if !hasRange(WithSubuid) {
		return fmt.Errorf("%s has no range in /etc/subuid", WithSubuid)
	}
	if hasRange(WithoutSubuid) {
		return fmt.Errorf("%s has a range in /etc/subuid", WithoutSubuid)
	}
	return nil
}

func probeSubuid() error {
	u, err := user.Current()
	if err != nil {
		return err
	}
	if !hasRange(u.Username) {
		return fmt.Errorf("%s has no range in /etc/subuid", u.Username)
	}
	return programs("newuidmap", "newgidmap")()
}

// hasRange reports whether /etc/subuid gives the user a range, by name or by uid.
func hasRange(name string) bool {
	b, err := os.ReadFile("/etc/subuid")
	if err != nil {
		return false
	}
	uid := ""
	if u, err := user.Lookup(name); err == nil {
		uid = u.Uid
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		f := strings.Split(line, ":")
		if len(f) != 3 || f[0] != name && f[0] != uid {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(f[2])); err == nil && n > 0 {
			return true
		}
	}
	return false
}

func probeGit() error {
	if err := program("git")(); err != nil {
		return err
	}
	_, err := httpBackend()
	return err
}

// probeMirror fetches the first index that apt would, the way apt would.
func probeMirror() error {
	out, err := exec.Command("apt-get", "--print-uris", "update").Output()
	if err != nil {
		return fmt.Errorf("apt-get update --print-uris: %w", err)
	}
	uri, _, ok := strings.Cut(strings.TrimPrefix(string(out), "'"), "'")
	if !ok {
		return errors.New("apt has no sources")
	}
	dir, err := os.MkdirTemp("", "mirror")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return output(exec.Command("/usr/lib/apt/apt-helper", "download-file", uri, filepath.Join(dir, "index")))
}

func probeIndex() error {
	cmd := exec.Command("python3", "-m", "pip", "--disable-pip-version-check", "--no-input", "index", "versions", "wheel")
	cmd.Env = append(os.Environ(), "PIP_FIND_LINKS=", "PIP_RETRIES=1", "PIP_NO_WARN_SCRIPT_LOCATION=1")
	return output(cmd)
}
