package check

import (
	"context"
	"encoding/json"
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

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/testenv"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// As a helper the test program stands for sandbox on a host that says no.
const helperVar, storeVar = "CHECK_TEST_HELPER", "CHECK_TEST_STORE"

func TestMain(m *testing.M) {
	Init()
	o := Options{Store: os.Getenv(storeVar)}
	switch os.Getenv(helperVar) {
	case "":
		os.Exit(m.Run())
	case "filtered":
		forbidUserns()
		fallthrough
	case "explain":
		err := Explain(refusedClone())
		fmt.Printf("error: %v\nhint: %s\n", err, strings.Join(hint.Of(err), "; "))
	case "doctor":
		_ = json.NewEncoder(os.Stdout).Encode(Run(context.Background(), o))
	}
}

// refusedClone really makes a namespace and returns what the kernel says.
func refusedClone() error {
	err := cloned(mapped(syscall.CLONE_NEWNS))
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return fmt.Errorf("start true: %w", &start.Error{Op: "clone", Kind: "ids", Errno: errno})
	}
	return err
}

// forbidUserns does to this process what the usual filter of containers does.
func forbidUserns() {
	const clone, flags = 56, 16 // x86-64; the low half of the first argument
	f := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: clone, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: syscall.CLONE_NEWUSER, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(syscall.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	runtime.LockOSThread() // both are properties of a thread, until TSYNC makes them everybody's
	_, _, errno := syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	}
	if errno != 0 {
		fmt.Println("seccomp:", errno)
		os.Exit(1)
	}
}

// helper runs the shell script with $0 as this program in the given mode.
func helper(t *testing.T, mode, script string, args ...string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{"-ec", script, exe}, args...)...)
	cmd.Env = append(os.Environ(), helperVar+"="+mode)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func find(t *testing.T, found []Finding, id string) Finding {
	t.Helper()
	for _, f := range found {
		if f.ID == id {
			return f
		}
	}
	t.Fatalf("no finding %s in %+v", id, found)
	return Finding{}
}

func findings(t *testing.T, out string) (found []Finding) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return found
}

func TestThisHost(t *testing.T) {
	testenv.Need(t, "userns", "overlay")
	store := filepath.Join(t.TempDir(), "not", "made", "yet")
	for _, f := range Run(t.Context(), Options{Store: store}) {
		if f.Status == Fail {
			t.Errorf("%+v", f)
		}
		if f.Title == "" || f.Detail == "" || strings.HasSuffix(f.Detail, ".") {
			t.Errorf("words: %+v", f)
		}
	}
	if names, _ := os.ReadDir(filepath.Dir(filepath.Dir(filepath.Dir(store)))); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestAnOrdinaryUser(t *testing.T) {
	testenv.Need(t, "users", "userns", "overlay")
	exe := filepath.Join(testenv.PublicDir(t), "check.test")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("install", "-m", "755", self, exe).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	u := testenv.As(t, testenv.WithoutSubuid)
	cmd := u.Command(exe)
	cmd.Env = append(cmd.Env, helperVar+"=doctor", storeVar+"="+u.Home+"/store")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	found := findings(t, string(out))
	for _, f := range found {
		if f.Status == Fail {
			t.Errorf("%+v", f)
		}
	}
	if f := find(t, found, "subuid"); !strings.HasPrefix(f.Detail, "none for plain") {
		t.Errorf("%+v", f)
	}
}

func TestALimitOfZeroIsNamed(t *testing.T) {
	testenv.Need(t, "userns")
	out := helper(t, "explain", `exec unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$0"' "$0"`)
	const want = "error: this host forbids user namespaces: user.max_user_namespaces is 0\nhint: sudo sysctl user.max_user_namespaces=15000\n"
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	out = helper(t, "explain", `exec unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_mnt_namespaces; exec "$0"' "$0"`)
	if !strings.HasPrefix(out, "error: this host forbids mount namespaces: user.max_mnt_namespaces is 0\n") {
		t.Error(out)
	}
}

// Three ways to be in a chroot: below a mount, on a mount, and without /proc.
func TestAChrootIsNamed(t *testing.T) {
	testenv.Need(t, "root")
	const want = "error: this process runs in a chroot, where the kernel refuses new user namespaces\n"
	const enter = `cp "$0" "$1/prog"; exec unshare -m sh -ec 'cd "$1"; mkdir usr lib lib64 dev; for d in usr lib lib64 dev; do mount --rbind /$d $d; done;`
	for name, script := range map[string]string{
		"below a mount": enter + `mkdir proc; mount --rbind /proc proc; chroot . /prog' "$0" "$1"`,
		"no proc":       enter + `chroot . /prog' "$0" "$1"`,
		"on a mount":    `exec unshare -m sh -ec 'mount --rbind / "$1"; chroot "$1" "$0"' "$0" "$1"`,
	} {
		if out := helper(t, "explain", script, t.TempDir()); !strings.HasPrefix(out, want) {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestASeccompFilterIsNamed(t *testing.T) {
	testenv.Need(t, "userns")
	out := helper(t, "filtered", `exec "$0"`)
	if !strings.HasPrefix(out, "error: this host forbids user namespaces: a seccomp filter around this process refuses them\n") {
		t.Error(out)
	}
}

func TestAnUnmappedUserIsNamed(t *testing.T) {
	testenv.Need(t, "userns")
	if out := helper(t, "explain", `exec unshare -U "$0"`); !strings.Contains(out, "has no meaning in this container") {
		t.Error(out)
	}
}

func TestAMaskedProcIsAWarning(t *testing.T) {
	testenv.Need(t, "userns")
	found := findings(t, helper(t, "doctor", `exec unshare -Urm sh -ec 'mount -t tmpfs none /proc/driver; exec "$0"' "$0"`))
	if f := find(t, found, "proc"); f.Status != Warn || f.Detail != "not possible, because something is mounted over /proc/driver" {
		t.Errorf("%+v", f)
	}
}

func TestTheStoresDisk(t *testing.T) {
	testenv.Need(t, "root")
	for option, want := range map[string]string{"noexec": "noexec", "ro": "read-only"} {
		t.Setenv(storeVar, t.TempDir())
		found := findings(t, helper(t, "doctor", `exec unshare -m sh -ec 'mount -t tmpfs -o `+option+` none "$CHECK_TEST_STORE"; exec "$0"' "$0"`))
		if f := find(t, found, "store"); f.Status != Fail || !strings.Contains(f.Detail, want) {
			t.Errorf("%+v", f)
		}
	}
	t.Setenv(storeVar, t.TempDir())
	found := findings(t, helper(t, "doctor", `exec unshare -m sh -ec 'mount -t tmpfs -o size=1m none "$CHECK_TEST_STORE"; exec "$0"' "$0"`))
	if f := find(t, found, "store"); f.Status != Warn || !strings.HasPrefix(f.Detail, "only 0.0 GiB free in ") {
		t.Errorf("%+v", f)
	}
	t.Setenv(storeVar, "/proc")
	if f := find(t, findings(t, helper(t, "doctor", `exec "$0"`)), "overlay"); f.Status != Fail || f.Hint == "" {
		t.Errorf("%+v", f)
	}
}

func TestOtherHosts(t *testing.T) {
	for _, c := range []struct {
		probe, file, content string
		status               Status
		detail               string
	}{
		{"kernel", "/proc/sys/kernel/osrelease", "5.4.0-200-generic", Fail, "this kernel is too old: 5.4.0-200-generic"},
		{"kernel", "/proc/sys/kernel/osrelease", "6.12.1", OK, "6.12.1"},
		{"kernel", "/proc/sys/kernel/osrelease", "odd", Warn, "cannot read the version: odd"},
		{"sysctl", "/proc/sys/kernel/unprivileged_userns_clone", "0", Fail, "this host forbids user namespaces: kernel.unprivileged_userns_clone is 0"},
		{"sysctl", "/proc/sys/kernel/unprivileged_userns_clone", "1", OK, "allowed"},
		{"limit", "/proc/sys/user/max_pid_namespaces", "12", Warn, "user.max_pid_namespaces is only 12"},
		{"cgroup", "/proc/self/cgroup", "1:cpu:/", OK, "[limits] memory, cpus, pids would not be enforced: the kernel has no cgroup v2"},
	} {
		h := &host{root: t.TempDir(), euid: 1000}
		p := h.root + c.file
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(c.content+"\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
		if f := find(t, run(t.Context(), h, []string{c.probe}), c.probe); f.Status != c.status || f.Detail != c.detail {
			t.Errorf("%s = %s: %+v", c.file, c.content, f)
		}
	}
}

func TestExplainLeavesOtherErrorsAlone(t *testing.T) {
	testenv.Need(t, "userns")
	for _, err := range []error{
		errors.New("plain"),
		syscall.EPERM,
		&start.Error{Op: "bind", Path: "/nowhere", Errno: syscall.ENOENT},
		&start.Error{Op: start.OpExec, Path: "/x", Errno: syscall.EACCES},
		&start.Error{Op: "clone", Errno: syscall.EPERM}, // nothing is wrong here
	} {
		if got := Explain(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestExplainLooksWhereTheOverlayWas(t *testing.T) {
	testenv.Need(t, "userns")
	err := Explain(&start.Error{Op: "mount overlay", Path: "/proc/nothing/upper", Errno: syscall.EINVAL})
	var h *HostError
	if !errors.As(err, &h) || h.Finding.ID != "overlay" {
		t.Errorf("%v", err)
	}
}
