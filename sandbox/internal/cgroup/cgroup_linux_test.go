package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// fake is a machine made of files: groups by path, with their controllers and those that are on below.
func fake(t *testing.T, own string, groups map[string][2]string) Host {
	t.Helper()
	root := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("proc/self/cgroup", "4:memory:/\n0::"+own+"\n")
	put("proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n")
	for path, g := range groups {
		dir := "sys/fs/cgroup" + path + "/"
		put(dir+"cgroup.procs", "")
		put(dir+"cgroup.controllers", g[0])
		put(dir+"cgroup.subtree_control", g[1])
	}
	return Host{Root: root, made: func(dir string) {
		on := words(filepath.Dir(dir), "cgroup.subtree_control")
		for _, f := range []string{"memory.max", "memory.events", "cpu.max", "pids.max"} {
			c, _, _ := strings.Cut(f, ".")
			if slices.Contains(on, c) {
				os.WriteFile(filepath.Join(dir, f), nil, 0o644)
			}
		}
	}}
}

func (g *Group) read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func all() []Cap { return slices.Concat(Memory(1<<30), CPUs(1.5), Pids(10)) }

func TestCapsAreWritten(t *testing.T) {
	h := fake(t, "/user/app", map[string][2]string{
		"":          {"cpu memory pids io", "memory pids"},
		"/user":     {"cpu memory pids", "cpu memory pids"},
		"/user/app": {"cpu memory pids", ""},
	})
	g, missing, why := h.New(all())
	if g == nil || len(missing) > 0 {
		t.Fatalf("missing %v: %s", missing, why)
	}
	if want := filepath.Join(h.Root, "sys/fs/cgroup/user"); filepath.Dir(g.dir) != want {
		t.Errorf("made in %s, want the nearest where all is on: %s", filepath.Dir(g.dir), want)
	}
	for file, want := range map[string]string{"memory.max": "1073741824", "cpu.max": "150000 100000", "pids.max": "11"} {
		if got := g.read(t, file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	if g.Killed() != 0 {
		t.Error("something was killed")
	}
	if err := os.WriteFile(filepath.Join(g.dir, "memory.events"), []byte("low 0\noom 3\noom_kill 2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if g.Killed() != 2 {
		t.Errorf("%d were killed, want 2", g.Killed())
	}
}

// What cannot be set is named, with the reason; what can be set is set all the same.
func TestMissing(t *testing.T) {
	nothing := fake(t, "/", nil)
	os.WriteFile(nothing.Root+"/proc/self/mountinfo", []byte("30 24 0:26 / /sys rw - sysfs sysfs rw\n"), 0o644)
	v1 := fake(t, "/", nil)
	os.WriteFile(v1.Root+"/proc/self/cgroup", []byte("4:memory:/\n"), 0o644)
	outside := fake(t, "/other", nil)
	os.WriteFile(outside.Root+"/proc/self/mountinfo", []byte("30 24 0:26 /mine /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"), 0o644)
	for name, c := range map[string]struct {
		h             Host
		missing, says string
	}{
		"not mounted":   {nothing, "memory cpus pids", "no cgroup v2 is mounted"},
		"version 1":     {v1, "memory cpus pids", "the kernel has no cgroup v2"},
		"not delegated": {fake(t, "/a", nil), "memory cpus pids", "our cgroup is not delegated to us: /a"},
		"outside":       {outside, "memory cpus pids", "our cgroup lies outside of what is mounted: /other"},
		"none":          {fake(t, "/", map[string][2]string{"": {"hugetlb", ""}}), "memory cpus pids", "controllers that can be used here: none"},
		"some":          {fake(t, "/a", map[string][2]string{"": {"memory pids", "memory pids"}, "/a": {"memory pids", ""}}), "cpus", "controllers that can be used here: memory pids"},
	} {
		g, missing, why := c.h.New(all())
		if strings.Join(missing, " ") != c.missing || why != c.says {
			t.Errorf("%s: missing %v: %s", name, missing, why)
		}
		if (g != nil) != (name == "some") {
			t.Errorf("%s: a group %v", name, g)
		}
		if name == "some" && g.read(t, "memory.max") != "1073741824" {
			t.Error("memory is not capped")
		}
	}
}

// A controller of the real kernel: it is switched on, the cap is set, a program starts in the group, and nothing
// stays behind, also not of an owner that was killed.
func TestRealKernel(t *testing.T) {
	testenv.Need(t, "cgroup")
	mount := testenv.CgroupMount()
	controller, file := "", ""
	for _, c := range [][2]string{{"pids", "pids.max"}, {"hugetlb", "hugetlb.2MB.max"}} {
		if slices.Contains(words(mount, "cgroup.subtree_control"), c[0]) {
			controller, file = c[0], c[1]
		}
	}
	if controller == "" {
		t.Fatalf("neither pids nor hugetlb is on in %s", mount)
	}
	top, err := os.MkdirTemp(mount, "test-")
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Rmdir(top)
	mine := fake(t, "/"+filepath.Base(top), nil)
	mine.made = nil
	if err := os.MkdirAll(mine.Root+"/sys/fs", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(mount, mine.Root+"/sys/fs/cgroup"); err != nil {
		t.Fatal(err)
	}
	caps := []Cap{{Name: "x", Controller: controller, File: file, Value: "4194304"}, {Name: "x", Controller: controller, File: controller + ".none", Optional: true}}
	g, missing, why := mine.New(caps)
	if g == nil || len(missing) > 0 {
		t.Fatalf("missing %v: %s", missing, why)
	}
	// On in the mount's own group, which needs no change, though the nearer one could be changed.
	if filepath.Dir(g.dir) != filepath.Join(mine.Root, "sys/fs/cgroup") {
		t.Errorf("made in %s", g.dir)
	}
	if got := g.read(t, file); got != "4194304" {
		t.Errorf("%s: %s", file, got)
	}
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(g.File().Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got := g.read(t, "cgroup.procs"); got == "" {
		t.Error("the program is not in the group")
	}
	g.file.Close() // as when the owner is killed
	sweep(filepath.Dir(g.dir))
	if _, err := os.Stat(g.dir); err != nil {
		t.Error("a group with a program in it was removed")
	}
	cmd.Process.Kill()
	cmd.Wait()
	second, missing, why := mine.New(caps)
	if second == nil || len(missing) > 0 {
		t.Fatalf("missing %v: %s", missing, why)
	}
	if _, err := os.Stat(g.dir); err == nil {
		t.Error("what was left behind is still there")
	}
	if err := second.Remove(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(mount, prefix+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A controller that is not on is switched on in the nearest group that allows it.
func TestSwitchOn(t *testing.T) {
	testenv.Need(t, "cgroup")
	mount := testenv.CgroupMount()
	top, err := os.MkdirTemp(mount, "test-")
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Rmdir(top)
	c := words(top, "cgroup.controllers")[0]
	dir, on := choose([]string{top}, []string{c, "nosuch"})
	if dir != top || !slices.Equal(on, []string{c}) || !slices.Contains(words(top, "cgroup.subtree_control"), c) {
		t.Errorf("%s: %v", dir, on)
	}
}
