package start

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/testenv"
	"github.com/4cc2e759/sandbox/sandbox/internal/child"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// TestOverlay runs the same work on every way to tell overlay its layers.
func TestOverlay(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		for _, rung := range []child.Rung{child.ByDescriptor, child.ByName, child.ByOption} {
			for _, disk := range []bool{false, true} {
				dir := tree(t)
				os.WriteFile(filepath.Join(dir, "opt/low/f"), []byte("bottom\n"), 0o644)
				s := base(dir, "sh", "-c", "cat /opt/low/f /opt/top; rm -rf /opt/low && mkdir /opt/low && ls -A /opt/low && echo new >/opt/low/g; cat /opt/low/g; grep -c ' / / ' /proc/self/mountinfo")
				for i := range 40 {
					l := t.TempDir()
					os.MkdirAll(filepath.Join(l, "opt/low"), 0o755)
					os.WriteFile(filepath.Join(l, "opt/low/f"), fmt.Appendln(nil, "layer", i), 0o644)
					if i == 7 {
						os.WriteFile(filepath.Join(l, "opt/top"), []byte("seven\n"), 0o644)
					}
					s.Root.Lowers = append(s.Root.Lowers, spec.Lower{Path: l})
				}
				upper := t.TempDir()
				if disk {
					onDisk(t, s, upper)
				}
				out, err := rungOutput(t, s, rung)
				if err != nil {
					t.Fatalf("rung %d: %v", rung, err)
				}
				if out != "layer 39\nseven\nnew\n1\n" {
					t.Errorf("rung %d, disk %v: %q", rung, disk, out)
				}
				if b, err := os.ReadFile(upper + "/u/opt/low/g"); disk && (err != nil || string(b) != "new\n") {
					t.Errorf("upper: %q %v", b, err)
				}
				if b, _ := os.ReadFile(filepath.Join(dir, "opt/low/f")); string(b) != "bottom\n" {
					t.Error("a layer was changed")
				}
			}
		}
	})
}

// onDisk gives s an upper layer in dir.
func onDisk(t *testing.T, s *spec.Spec, dir string) {
	s.Root.Upper, s.Root.Work = dir+"/u", dir+"/w"
	os.Mkdir(s.Root.Upper, 0o755)
	os.Mkdir(s.Root.Work, 0o755)
	t.Cleanup(func() { os.Chmod(dir+"/w/work", 0o700) }) // overlay leaves a folder without permissions
}

// rungOutput runs s on one rung.
func rungOutput(t *testing.T, s *spec.Spec, rung child.Rung) (string, error) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o := Options{Stdout: f, Stderr: f}
	p, err := launch(context.Background(), s, &o, child.Config{UID: os.Geteuid(), GID: os.Getegid(), Files: files(&o), Rung: rung})
	if err != nil {
		return "", err
	}
	p.Wait()
	b, err := os.ReadFile(f.Name())
	return string(b), err
}

// TestManyLayers is the kernel's limit.
func TestManyLayers(t *testing.T) {
	dir := tree(t)
	s := base(dir, "true")
	empty := t.TempDir()
	for i := range 499 {
		l := filepath.Join(empty, fmt.Sprint(i))
		os.Mkdir(l, 0o755)
		s.Root.Lowers = append(s.Root.Lowers, spec.Lower{Path: l})
	}
	for _, rung := range []child.Rung{child.ByDescriptor, child.ByName} {
		if _, err := rungOutput(t, s, rung); err != nil {
			t.Errorf("rung %d: %v", rung, err)
		}
	}
	s.Root.Lowers = append(s.Root.Lowers, spec.Lower{Path: empty})
	if _, err := rungOutput(t, s, child.ByDescriptor); err == nil {
		t.Error("501 layers")
	}
}

// TestRefusedUpper needs a file system that overlay refuses as upper: another overlay.
func TestRefusedUpper(t *testing.T) {
	if os.Getenv("START_TEST_NESTED") == "" {
		dir := t.TempDir()
		for _, d := range []string{"l", "u", "w", "m"} {
			os.Mkdir(filepath.Join(dir, d), 0o755)
		}
		cmd := exec.Command("unshare", "-Urm", "sh", "-ec", `cd "$0"
			mount -t tmpfs none u; mkdir u/u u/w
			mount -t overlay overlay -o lowerdir=l,upperdir=u/u,workdir=u/w,userxattr m
			mkdir m/u m/w; exec "$1" -test.run='^TestRefusedUpper$' -test.v`, dir, testBin())
		cmd.Env = append(os.Environ(), "START_TEST_NESTED="+dir+"/m")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	s := base(tree(t), "sh", "-c", "echo x >/etc/x; cat /etc/x")
	s.Root.Upper, s.Root.Work = os.Getenv("START_TEST_NESTED")+"/u", os.Getenv("START_TEST_NESTED")+"/w"
	if e := fails(t, s); e.Op != "mount overlay" || e.Path != s.Root.Upper {
		t.Errorf("kept upper: %#v", e)
	}
	s.Root.Volatile = true
	for _, rung := range []child.Rung{child.ByDescriptor, child.ByName, child.ByOption} {
		if out, err := rungOutput(t, s, rung); err != nil || out != "x\n" {
			t.Errorf("rung %d: %q %v", rung, out, err)
		}
	}
}

func TestBindRoot(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		dir := tree(t)
		s := base(dir, "sh", "-c", "echo x >/etc/made; ls /; cat /proc/self/mountinfo | wc -l")
		s.Root = spec.Root{Bind: dir}
		run(t, s)
		if b, err := os.ReadFile(filepath.Join(dir, "etc/made")); err != nil || string(b) != "x\n" {
			t.Error(string(b), err)
		}
	})
}

func TestBinds(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		data := t.TempDir()
		os.WriteFile(filepath.Join(data, "f"), []byte("data\n"), 0o644)
		s := base(tree(t), "sh", "-c", `cat /run/ro/f /run/file; echo y >/run/rw/g; echo y 2>&1 >/run/ro/g; ls /run/host/etc/hostname; ls /run/skip; cat /run/again; stat -c %a /etc/new/deep /etc/new; readlink /run/link`)
		s.Ops = append(s.Ops,
			spec.Op{Kind: spec.Tmpfs, Target: "/run"},
			spec.Op{Kind: spec.Dir, Target: "/run/ro"}, spec.Op{Kind: spec.Dir, Target: "/run/rw"}, spec.Op{Kind: spec.Dir, Target: "/run/host"},
			spec.Op{Kind: spec.Dir, Target: "/run/skip"}, spec.Op{Kind: spec.Dir, Target: "/run/sub"},
			spec.Op{Kind: spec.Bind, Source: data, Target: "/run/ro", Flags: []string{"ro", "nosuid", "nodev", "noexec", "nosymfollow"}},
			spec.Op{Kind: spec.Bind, Source: data, Target: "/run/rw"},
			spec.Op{Kind: spec.Bind, Source: "/", Target: "/run/host", Flags: []string{"ro"}},
			spec.Op{Kind: spec.Bind, Source: "/nope/nope", Target: "/run/skip", Optional: true},
			spec.Op{Kind: spec.File, Target: "/run/file", Content: "content\n", Mode: 0o600},
			spec.Op{Kind: spec.File, Target: "/run/sub/empty"},
			spec.Op{Kind: spec.File, Target: "/run/again"},
			spec.Op{Kind: spec.Bind, Source: "/run/file", Target: "/run/again", Flags: []string{"inside"}},
			spec.Op{Kind: spec.Dir, Target: "/etc/new/deep", Mode: 0o700},
			spec.Op{Kind: spec.Symlink, Source: "nowhere", Target: "/run/link"},
		)
		out, _ := run(t, s)
		want(t, out, "data", "content", "/run/host/etc/hostname", "700", "755", "nowhere")
		if !strings.Contains(out, "Read-only file system") || strings.Count(out, "content\n") != 2 {
			t.Error(out)
		}
		if b, _ := os.ReadFile(filepath.Join(data, "g")); string(b) != "y\n" {
			t.Error("not written through")
		}
	})
}

// TestBindBelow: a sandbox that writes a folder must not choose what the next one gets from the host.
func TestBindBelow(t *testing.T) {
	project := t.TempDir()
	os.MkdirAll(project+"/real/data", 0o755)
	os.Symlink("real/data", project+"/good")
	os.Symlink("/etc", project+"/evil")
	os.Symlink("../../../../etc", project+"/evil2")
	os.Symlink("/proc/self/root", project+"/evil3")
	start := func(source string) *spec.Spec {
		s := base(tree(t), "true")
		s.Ops = append(s.Ops, spec.Op{Kind: spec.Bind, Source: source, Data: project, Target: "/opt/low"})
		return s
	}
	for _, good := range []string{project, project + "/good", project + "/real"} {
		run(t, start(good))
	}
	for _, evil := range []string{"/evil", "/evil2", "/evil3", "/..", "/nope"} {
		if e := fails(t, start(project+evil)); e.Kind != "bind" || e.Path != project+evil {
			t.Errorf("%s: %v", evil, e)
		}
	}
}

// TestCgroup starts in a cgroup from the first instruction on.
func TestCgroup(t *testing.T) {
	testenv.Need(t, "userns", "groups")
	dir, err := os.MkdirTemp(testenv.CgroupMount(), "start-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, _, err := output(base(tree(t), "cat", "/proc/self/cgroup"), Options{Cgroup: f})
	if err != nil || !strings.Contains(out, "0::/"+filepath.Base(dir)+"\n") {
		t.Error(out, err)
	}
}

func TestKernelFiles(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		s := base(tree(t), "sh", "-c", `echo 1 2>&1 >/proc/sys/kernel/hostname; ls /proc/irq /opt/low | cat; wc -c </proc/keys; ls -d /sys/class; echo 2>&1 >/sys/x; cat /sys/class/net/lo/operstate; ls /sys/class/net`)
		os.WriteFile(filepath.Join(s.Root.Lowers[0].Path, "opt/low/f"), nil, 0o644)
		s.Ops = append(s.Ops,
			spec.Op{Kind: spec.Lock, Target: "/proc/sys"}, spec.Op{Kind: spec.Lock, Target: "/proc/nope"},
			spec.Op{Kind: spec.Mask, Target: "/proc/keys"}, spec.Op{Kind: spec.Mask, Target: "/proc/irq"}, spec.Op{Kind: spec.Mask, Target: "/proc/nope"},
			spec.Op{Kind: spec.Mask, Target: "/opt/low"}, spec.Op{Kind: spec.Sysfs, Target: "/sys"})
		out, _ := run(t, s)
		if strings.Count(out, "Read-only file system") != 2 || !strings.Contains(out, "\n0\n/sys/class\n") || strings.Contains(out, "\nf\n") {
			t.Error(out)
		}
		s.Unshare = append(s.Unshare, "net")
		s.Ops = append(s.Ops, spec.Op{Kind: spec.Loopup})
		s.Process.Args[2] = "ls /sys/class/net; cat /sys/class/net/lo/carrier"
		if out, _ := run(t, s); out != "lo\n1\n" {
			t.Errorf("own network: %q", out)
		}
	})
}

func TestProcess(t *testing.T) {
	dir := tree(t)
	s := base(dir, "sh", "-c", "umask; ulimit -c; hostname; ulimit -Hn")
	s.Process.Umask = 0o027
	var have unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &have)
	s.Process.Rlimit = []spec.Rlimit{{Name: "core"}, {Name: "nofile", Soft: 64, Hard: 1 << 62}}
	out, _ := run(t, s)
	want(t, out, "0027", "0", "box", fmt.Sprint(have.Max))
}

// TestMaskedProc is a start inside another container, whose /proc is partly covered.
func TestMaskedProc(t *testing.T) {
	if os.Getenv("START_TEST_NESTED") == "" {
		testenv.Need(t, "userns", "users") // covering /proc takes root, who does it for the others
		for _, user := range []string{"root", testenv.WithSubuid, testenv.WithoutSubuid} {
			cmd := exec.Command("unshare", "-m", "sh", "-ec", `mount -t tmpfs none /proc/irq
				exec runuser -u "$0" -- "$1" -test.run='^(TestMaskedProc|TestParentKilled|TestTerminal)$' -test.v`, user, testBin())
			cmd.Env = append(os.Environ(), "START_TEST_NESTED=1", "START_TEST_USER="+user, "TMPDIR=/var/tmp")
			cmd.Dir = "/var/tmp"
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
				t.Errorf("%s: %v\n%s", user, err, out)
			}
		}
		return
	}
	mark := fmt.Sprint("8", os.Getpid(), "17")
	s := base(tree(t), "sh", "-c", "(setsid sleep "+mark+" &) ; sleep "+mark+" & sleep 0.1; ls /proc/$$/comm; test $$ -gt 5 && echo shared; echo 2>&1 >/proc/sys/kernel/hostname; ls /proc/irq /proc/tty | wc -w; exit 6")
	s.Ops = append(s.Ops, spec.Op{Kind: spec.Lock, Target: "/proc/sys"}, spec.Op{Kind: spec.Mask, Target: "/proc/tty"}, spec.Op{Kind: spec.Mask, Target: "/proc/irq"})
	out, e := run(t, s)
	if e.Code != 6 || !strings.Contains(out, "shared") || !strings.Contains(out, "Read-only") || !strings.HasSuffix(out, "\n2\n") {
		t.Errorf("%+v %s", e, out)
	}
	if pids := find(mark); len(pids) > 0 {
		t.Errorf("left: %v", pids)
	}
}

// TestOwner: root runs the project of somebody else, whose files must be theirs inside too.
func TestOwner(t *testing.T) {
	testenv.Need(t, "userns", "root") // nobody else can map the owner
	project := t.TempDir()
	os.Chmod(filepath.Dir(project), 0o755)
	os.Chmod(project, 0o700)
	os.Chown(project, 1001, 1001)
	s := base(tree(t), "sh", "-c", "id -u; id -G; stat -c %u:%g /opt/low; echo x >/opt/low/f && chown 1001:1001 /opt/low/f && stat -c %u:%g /opt/low/f; chown 7 /opt/low/f 2>/dev/null || echo no other")
	s.IDs.Owner = &spec.Own{UID: 1001, GID: 1001}
	s.Ops = append(s.Ops, spec.Op{Kind: spec.Bind, Source: project, Target: "/opt/low"})
	out, _ := run(t, s)
	if out != "0\n0\n1001:1001\n1001:1001\nno other\n" {
		t.Error(out)
	}
}
