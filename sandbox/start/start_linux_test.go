package start

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// tree makes a layer of mount points and links, over which the host's /usr is bound read-only.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"usr", "proc", "sys", "dev", "tmp", "etc", "root", "run", "var/tmp", "opt/low"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+l, filepath.Join(dir, l)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// base is a complete spec over tree.
func base(dir string, args ...string) *spec.Spec {
	s := &spec.Spec{
		Version: spec.Version, Hostname: "box", Unshare: []spec.Namespace{"user", "mount", "pid", "ipc", "uts"},
		Root: spec.Root{Lowers: []spec.Lower{{Path: dir, Why: "test"}}},
		Ops: []spec.Op{
			{Kind: spec.Bind, Source: "/usr", Target: "/usr", Flags: []string{"ro"}, Why: "programs"},
			{Kind: spec.Tmpfs, Target: "/dev", Data: "mode=755,size=1m"},
			{Kind: spec.Dir, Target: "/dev/pts"}, {Kind: spec.Dir, Target: "/dev/shm"},
			{Kind: spec.Devpts, Target: "/dev/pts"},
			{Kind: spec.Tmpfs, Target: "/dev/shm", Data: "mode=1777"},
			{Kind: spec.Symlink, Source: "pts/ptmx", Target: "/dev/ptmx"},
			{Kind: spec.Symlink, Source: "/proc/self/fd", Target: "/dev/fd"},
			{Kind: spec.Proc, Target: "/proc"},
			{Kind: spec.Tmpfs, Target: "/tmp", Data: "mode=1777"},
		},
		Process: spec.Process{Args: args, Env: []string{"PATH=/usr/bin:/bin", "HOME=/root"}, Dir: "/root"},
	}
	for _, d := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		s.Ops = append(s.Ops, spec.Op{Kind: spec.Device, Source: "/dev/" + d, Target: "/dev/" + d})
	}
	return s
}

// run runs s and gives its output and exit.
func run(t *testing.T, s *spec.Spec) (string, Exit) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	done := make(chan struct{})
	go func() { io.Copy(&out, r); close(done) }()
	p, err := Start(context.Background(), s, Options{Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	e, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	<-done
	r.Close()
	return out.String(), e
}

func TestSmoke(t *testing.T) {
	s := base(tree(t), "sh", "-c", "id; hostname; pwd; ls -l / /dev /proc/self/fd; cat /proc/self/status | grep -E 'Cap|NoNew|Secc|Groups|Pid|Umask|Sig'; ps ax; cat /proc/self/mountinfo; echo x >/etc/foo; rm -rf /opt/low; mkdir /opt/low; exit 3")
	out, e := run(t, s)
	t.Log(out, e)
}
