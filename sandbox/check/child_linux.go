package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childName is what a probing child has as its own name.
const childName = "sandbox-check"

// Init has to be the first call of main, and of TestMain where tests use this package. It returns at
// once unless this process is a child of a probe, which it becomes and ends.
func Init() {
	if len(os.Args) < 2 || os.Args[0] != childName {
		return
	}
	what, errno := trial(os.Args[1], os.Args[2:])
	fmt.Printf("%s %d\n", childName, errno)
	fmt.Println(what)
	os.Exit(0)
}

// refused is what a trial in a child was refused.
type refused struct {
	what  string
	errno syscall.Errno
}

func (e *refused) Error() string { return e.what + ": " + e.errno.Error() }

func (e *refused) Unwrap() error { return e.errno }

var errNoChild = errors.New("the probe could not be run")

// try runs a trial in new namespaces, where the caller is root. The error is a *refused if the kernel
// said no, and errNoChild if the trial never came to an end.
func try(ctx context.Context, flags uintptr, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = append([]string{childName, name}, args...)
	cmd.SysProcAttr = mapped(flags)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	out, err := cmd.Output()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return &refused{"clone", errno}
	}
	head, what, ok := strings.Cut(string(out), "\n")
	code, ok2 := strings.CutPrefix(head, childName+" ")
	n, errN := strconv.Atoi(code)
	if err != nil || !ok || !ok2 || errN != nil {
		return errNoChild
	}
	if n != 0 {
		return &refused{strings.TrimSpace(what), syscall.Errno(n)}
	}
	return nil
}

func mapped(flags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
}

// cloned makes a namespace and nothing in it: the child executes a name that no file has, so ENOENT
// says that everything before it worked. It needs neither /proc nor a program of its own.
func cloned(attr *syscall.SysProcAttr) error {
	pid, err := syscall.ForkExec("/\x01", []string{"none"}, &syscall.ProcAttr{Sys: attr})
	if err == nil {
		_, _ = syscall.Wait4(pid, nil, 0, nil)
		return nil
	}
	if err == syscall.ENOENT {
		return nil
	}
	return err
}

// trial does one thing in the child and says at which step it was refused.
func trial(name string, args []string) (what string, errno syscall.Errno) {
	steps, ok := map[string]func([]string) (string, error){"mount": tryMount, "proc": tryProc, "overlay": tryOverlay, "filter": tryFilter}[name]
	if !ok {
		return "no trial " + name, syscall.EINVAL
	}
	what, err := steps(args)
	if err == nil {
		return "", 0
	}
	if !errors.As(err, &errno) {
		errno = syscall.EIO
	}
	return what, errno
}

func tryMount(args []string) (string, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "make mounts private", err
	}
	if err := unix.Mount("tmpfs", args[0], "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=64k"); err != nil {
		return "mount tmpfs", err
	}
	return "", nil
}

func tryProc(args []string) (string, error) {
	if what, err := tryMount(args); err != nil {
		return what, err
	}
	dir := filepath.Join(args[0], "proc")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "make a folder", err
	}
	return "mount proc", unix.Mount("proc", dir, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// tryOverlay mounts one layer under an upper folder in args[0] and removes and remakes a folder of the
// layer, for which the kernel has to write its own attributes.
func tryOverlay(args []string) (string, error) {
	if err := os.Chdir(args[0]); err != nil {
		return "enter the store", err
	}
	if err := os.MkdirAll("lower/d/e", 0o755); err != nil {
		return "make folders", err
	}
	for _, d := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return "make folders", err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "make mounts private", err
	}
	if err := unix.Mount("overlay", "merged", "overlay", 0, "userxattr,lowerdir=lower,upperdir=upper,workdir=work"); err != nil {
		return "mount overlay", err
	}
	if err := os.RemoveAll("merged/d"); err != nil {
		return "remove a folder of a layer", err
	}
	if err := os.Mkdir("merged/d", 0o755); err != nil {
		return "make a folder again", err
	}
	buf := make([]byte, 8)
	n, err := unix.Getxattr("upper/d", "user.overlay.opaque", buf)
	if err == nil && string(buf[:n]) != "y" {
		err = syscall.EIO
	}
	if err != nil {
		return "read an overlay attribute", err
	}
	return "", nil
}

// tryFilter loads a seccomp filter that allows everything.
func tryFilter([]string) (string, error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return "set no_new_privs", err
	}
	allow := [1]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
	prog := unix.SockFprog{Len: 1, Filter: &allow[0]}
	return "load a seccomp filter", unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
}
