package access

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// What a child of a test asks, and where it goes before.
const (
	askVar    = "ACCESS_TEST_ASK"
	cgroupVar = "ACCESS_TEST_CGROUP"
	filterVar = "ACCESS_TEST_FILTER"
)

// ask asks in a process of its own, in a cgroup or behind a filter of system calls.
func ask(t *testing.T, path string, env ...string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestAsked$")
	cmd.Env = append(append(os.Environ(), askVar+"="+path), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, answer, _ := strings.Cut(string(out), "answer: ")
	answer, _, _ = strings.Cut(answer, "\n")
	return answer
}

func TestAsked(t *testing.T) {
	path := os.Getenv(askVar)
	if path == "" {
		return // run by the others
	}
	runtime.LockOSThread()
	if procs := os.Getenv(cgroupVar); procs != "" {
		if err := testenv.EnterCgroup(procs); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getenv(filterVar) != "" {
		refuseFaccessat2(t)
	}
	fmt.Printf("answer: %v\n", ReadWrite(path))
}

// refuseFaccessat2 is what filters do that are older than the call.
func refuseFaccessat2(t *testing.T) {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FACCESSAT2, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	p := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&p)), 0, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestMode(t *testing.T) {
	p := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(p, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ReadWrite(p); err != nil {
		t.Error(err)
	}
	if err := ReadWrite(p + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if got := ask(t, p, filterVar+"=1"); got != "<nil>" {
		t.Errorf("behind a filter that does not know the call: %s", got)
	}
	if os.Geteuid() == 0 {
		return // to root the mode says nothing
	}
	if err := os.Chmod(p, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := ReadWrite(p); err != syscall.EACCES {
		t.Error(err)
	}
	if got := ask(t, p, filterVar+"=1"); got != syscall.EACCES.Error() {
		t.Errorf("behind a filter: %s", got)
	}
}

func TestDeviceCgroup(t *testing.T) {
	testenv.Need(t, "root", "devcgroup")
	node := filepath.Join(t.TempDir(), "nvidia0")
	if err := syscall.Mknod(node, syscall.S_IFCHR|0o666, int(unix.Mkdev(195, 0))); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, node); got != "<nil>" {
		t.Errorf("outside: %s", got)
	}
	in := cgroupVar + "=" + testenv.WithoutDevices(t, "c 195:* rwm")
	if got := ask(t, node, in); got != syscall.EPERM.Error() {
		t.Errorf("inside: %s", got)
	}
	if got := ask(t, "/dev/null", in); got != "<nil>" {
		t.Errorf("another device inside: %s", got)
	}
}
