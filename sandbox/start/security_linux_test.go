package start

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// TestPrivileges reads back what the program has, instead of trusting what was set.
func TestPrivileges(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		out, _ := run(t, base(tree(t), "probe", "status", "socket=38", "socket=40", "socket=2", "sti", "unshare", "mount", "nosys"))
		want(t, out,
			"CapInh 0000000000000000", "CapAmb 0000000000000000", "CapPrm 00000000a80425fb", "CapEff 00000000a80425fb", "CapBnd 00000000a80425fb",
			"NoNewPrivs 1", "Seccomp 2", "SigBlk 0000000000000000", "Umask 0022",
			"socket 38 address family not supported by protocol", "socket 40 address family not supported by protocol", "socket 2 <nil>",
			"sti operation not permitted", "unshare operation not permitted", "mount operation not permitted", "nosys function not implemented")
		s := base(tree(t), "probe", "status")
		s.IDs = spec.IDs{UID: 1000, GID: 100}
		out, _ = run(t, s)
		want(t, out, "CapInh 0000000000000000", "CapAmb 0000000000000000", "CapPrm 0000000000000000", "CapEff 0000000000000000", "NoNewPrivs 1", "Seccomp 2")
		s = base(tree(t), "sh", "-c", "id -u; id -g; touch /root/x && stat -c %u:%g /root/x; cat /proc/self/uid_map; ls -ld /dev/pts | cut -c1-10")
		s.IDs = spec.IDs{UID: 1000, GID: 100}
		out, _ = run(t, s)
		want(t, out, "1000", "100", "1000:100", "      1000          0          1", "drwxr-xr-x")
	})
}

// TestNothingLeaks: a shell's exec 9</ must not give the sandbox the host's root.
func TestNothingLeaks(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		t.Setenv("SECRET_TOKEN", "hunter2")
		fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0) // not close-on-exec
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Dup2(fd, 99); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(99)
		out, _ := run(t, base(tree(t), "probe", "env", "fds"))
		want(t, out, "fd 0", "fd 1", "fd 2", "HOME=/root")
		if strings.Count(out, "fd ") != 3+1 { // the probe's own poller aside
			if strings.Contains(out, "fd 99") || strings.Count(out, "fd ") != 3 {
				t.Errorf("descriptors:\n%s", out)
			}
		}
		if strings.Contains(out, "SECRET") {
			t.Error("the host's environment is inside")
		}
		extra, err := os.Open("/etc/hostname")
		if err != nil {
			t.Fatal(err)
		}
		defer extra.Close()
		host, _ := os.ReadFile("/etc/hostname")
		out, _ = run(t, base(tree(t), "sh", "-c", "cat <&3"), extra)
		if out != string(host) {
			t.Errorf("extra file: %q", out)
		}
	})
}

// TestInit: the first process is a copy of this program; nobody inside may see into it.
func TestInit(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		t.Setenv("SECRET_TOKEN", "hunter2")
		out, _ := run(t, base(tree(t), "sh", "-c", `
			tr '\0' ' ' </proc/1/cmdline; echo; cat /proc/1/comm
			for f in environ mem maps; do cat /proc/1/$f 2>/dev/null && echo can read $f; done
			readlink /proc/1/exe /proc/1/root /proc/1/cwd && echo can follow
			(: >/proc/1/exe) 2>/dev/null && echo can write exe
			(: >/proc/1/mem) 2>/dev/null && echo can write mem
			echo end`))
		want(t, out, "sandbox-init", "end")
		if strings.Contains(out, "can ") || strings.Contains(out, "start-test") || strings.Contains(out, "test.run") {
			t.Errorf("output:\n%s", out)
		}
	})
}

// TestHostileTrees: images whose own folders lead elsewhere.
func TestHostileTrees(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		for _, name := range []string{"dev", "proc"} {
			for _, to := range []string{"/", "../../..", "/tmp", "/opt/low"} {
				dir := tree(t)
				os.Remove(filepath.Join(dir, name))
				if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				if e := fails(t, base(dir, "true")); e.Errno != unix.ELOOP || e.Path != "/"+name {
					t.Errorf("%s -> %s: %v", name, to, e)
				}
			}
		}
		// A link that climbs out of the root ends inside it.
		host, err := os.MkdirTemp("/var/tmp", "start-host-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(host)
		dir := tree(t)
		os.MkdirAll(filepath.Join(dir, host), 0o755)
		os.Symlink("../../../../../.."+host, filepath.Join(dir, "opt/out"))
		s := base(dir, "sh", "-c", "touch /opt/out/made; ls "+host)
		s.Ops = append(s.Ops, spec.Op{Kind: spec.Tmpfs, Target: "/opt/out"}, spec.Op{Kind: spec.Dir, Target: "/etc/a/b/c"})
		out, _ := run(t, s)
		want(t, out, "made")
		if l, _ := os.ReadDir(host); len(l) > 0 {
			t.Error("the host's folder was reached")
		}
		// A new folder behind a link that climbs out is made inside.
		os.Symlink("../../../../../../../var/tmp", filepath.Join(dir, "opt/up"))
		s = base(dir, "ls", "-d", "/var/tmp/start-made-inside")
		s.Ops = append(s.Ops, spec.Op{Kind: spec.Dir, Target: "/opt/up/start-made-inside"})
		if out, e := run(t, s); e.Code != 0 {
			t.Error(out)
		}
		if _, err := os.Lstat("/var/tmp/start-made-inside"); err == nil {
			t.Error("made on the host")
		}
	})
}

func TestWorkingFolder(t *testing.T) {
	fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	unix.Dup2(fd, 9)
	defer unix.Close(9)
	for _, dir := range []string{"/proc/self/fd/9", "/proc/self/cwd", "/proc/1/root", "/etc/../../../nope", "/dev/null"} {
		s := base(tree(t), "pwd")
		s.Process.Dir = dir
		fails(t, s)
	}
	s := base(tree(t), "pwd")
	s.Process.Dir = "/opt/../../../opt/low"
	out, _ := run(t, s)
	want(t, out, "/opt/low")
}

// TestOldRootIsGone: no mount of the host is left below the new root.
func TestOldRootIsGone(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		for _, upper := range []string{"", t.TempDir()} {
			s := base(tree(t), "cat", "/proc/self/mountinfo")
			if upper != "" {
				onDisk(t, s, upper)
			}
			out, _ := run(t, s)
			roots := 0
			for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
				f := strings.Fields(l)
				if f[4] == "/" {
					roots++
				} else if !strings.HasPrefix(f[4], "/dev") && !strings.HasPrefix(f[4], "/usr") && f[4] != "/proc" && f[4] != "/tmp" && f[4] != "/probe" {
					t.Errorf("mount %s", l)
				}
			}
			if roots != 1 {
				t.Errorf("%d roots:\n%s", roots, out)
			}
		}
	})
}

func TestRootEmulation(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		s := base(tree(t), "probe", "chown", "setuid", "mknod")
		out, _ := run(t, s)
		want(t, out, "chown chown /tmp/f: invalid argument", "setuid invalid argument", "mknod operation not permitted <nil>")
		s.Seccomp = []string{"container", "root"}
		out, _ = run(t, s)
		want(t, out, "chown <nil>", "setuid ok", "mknod <nil> <nil>")
		s.Seccomp = []string{"root"}
		out, _ = run(t, s)
		want(t, out, "chown <nil>", "setuid ok", "mknod <nil> <nil>")
	})
}
