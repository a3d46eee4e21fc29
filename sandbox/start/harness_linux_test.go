package start

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/testenv"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// probeEnv tells re-executed tests where the probe is.
const (
	probeEnv = "START_TEST_PROBE"
	roleEnv  = "START_TEST_ROLE"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role))
	}
	if os.Getenv(probeEnv) != "" {
		os.Exit(m.Run())
	}
	// The probe and this binary have to be where ordinary users get at them.
	dir, err := os.MkdirTemp("/var/tmp", "start-test-")
	if err != nil {
		panic(err)
	}
	os.Chmod(dir, 0o755)
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "probe"), "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "test"), self, 0o755)
	}
	if err != nil {
		panic(err)
	}
	os.Setenv(probeEnv, filepath.Join(dir, "probe"))
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func probe() string   { return os.Getenv(probeEnv) }
func testBin() string { return filepath.Join(filepath.Dir(probe()), "test") }

// everyUser runs a test as this user and, as root, again as ordinary users with and without a range of
// subordinate ids. Each is a process of its own.
func everyUser(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Run("self", f)
	if os.Getuid() != 0 || os.Getenv("START_TEST_USER") != "" {
		return
	}
	for _, user := range []string{testenv.WithSubuid, testenv.WithoutSubuid} {
		t.Run(user, func(t *testing.T) {
			testenv.Need(t, "users")
			name := strings.Split(t.Name(), "/")[0]
			cmd := exec.Command("runuser", "-u", user, "--", testBin(), "-test.run=^"+name+"$", "-test.v")
			cmd.Env = append(os.Environ(), "START_TEST_USER="+user, "TMPDIR=/var/tmp", "HOME=/")
			cmd.Dir = "/var/tmp"
			out, err := cmd.CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("--- PASS: "+name)) {
				t.Fatalf("as %s: %v\n%s", user, err, out)
			}
		})
	}
}

// tree makes a layer of mount points and links, over which the host's /usr is bound read-only.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	makeTree(dir)
	return dir
}

func makeTree(dir string) {
	for _, d := range []string{"usr", "proc", "sys", "dev", "tmp", "etc", "root", "run", "var/tmp", "opt/low", "probe", "net"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			panic(err)
		}
	}
	for _, l := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+l, filepath.Join(dir, l)); err != nil {
			panic(err)
		}
	}
}

var usualCaps = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
	"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP",
}

// base is a complete spec over tree. The probe lies at /probe/probe.
func base(dir string, args ...string) *spec.Spec {
	s := &spec.Spec{
		Version: spec.Version, Hostname: "box", Unshare: []spec.Namespace{"user", "mount", "pid", "ipc", "uts"},
		Root:    spec.Root{Lowers: []spec.Lower{{Path: dir, Why: "test"}}},
		Seccomp: []string{"container"},
		Ops: []spec.Op{
			{Kind: spec.Bind, Source: "/usr", Target: "/usr", Flags: []string{"ro"}, Why: "programs"},
			{Kind: spec.Bind, Source: filepath.Dir(probe()), Target: "/probe", Flags: []string{"ro"}, Why: "test"},
			{Kind: spec.Tmpfs, Target: "/dev", Data: "mode=755,size=1m"},
			{Kind: spec.Dir, Target: "/dev/pts"}, {Kind: spec.Dir, Target: "/dev/shm"}, {Kind: spec.Dir, Target: "/dev/mqueue"},
			{Kind: spec.Devpts, Target: "/dev/pts"},
			{Kind: spec.Mqueue, Target: "/dev/mqueue"},
			{Kind: spec.Tmpfs, Target: "/dev/shm", Data: "mode=1777"},
			{Kind: spec.Symlink, Source: "pts/ptmx", Target: "/dev/ptmx"},
			{Kind: spec.Symlink, Source: "/proc/self/fd", Target: "/dev/fd"},
			{Kind: spec.Proc, Target: "/proc"},
			{Kind: spec.Tmpfs, Target: "/tmp", Data: "mode=1777"},
		},
		Process: spec.Process{Args: args, Env: []string{"PATH=/usr/bin:/bin:/probe", "HOME=/root"}, Dir: "/root", Caps: usualCaps},
	}
	for _, d := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		s.Ops = append(s.Ops, spec.Op{Kind: spec.Device, Source: "/dev/" + d, Target: "/dev/" + d})
	}
	return s
}

// run runs s and gives its output and exit.
func run(t *testing.T, s *spec.Spec, extra ...*os.File) (string, Exit) {
	t.Helper()
	out, e, err := output(s, Options{ExtraFiles: extra})
	if err != nil {
		t.Fatal(err)
	}
	return out, e
}

func output(s *spec.Spec, o Options) (string, Exit, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", Exit{}, err
	}
	defer r.Close()
	var out bytes.Buffer
	done := make(chan struct{})
	go func() { io.Copy(&out, r); close(done) }()
	o.Stdout, o.Stderr = w, w
	p, err := Start(context.Background(), s, o)
	w.Close()
	if err != nil {
		return "", Exit{}, err
	}
	e, err := p.Wait()
	<-done
	return out.String(), e, err
}

// fails starts s and wants an error.
func fails(t *testing.T, s *spec.Spec) *Error {
	t.Helper()
	p, err := Start(context.Background(), s, Options{})
	if err == nil {
		p.Signal(os.Kill)
		p.Wait()
		t.Fatal("started")
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("no *Error: %v", err)
	}
	return e
}

// want checks that the output has all these lines.
func want(t *testing.T, out string, lines ...string) {
	t.Helper()
	have := "\n" + strings.ReplaceAll(out, "\r", "") + "\n"
	for _, l := range lines {
		if !strings.Contains(have, "\n"+l+"\n") {
			t.Errorf("no line %q in\n%s", l, out)
		}
	}
}
