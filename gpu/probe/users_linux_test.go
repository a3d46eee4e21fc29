package probe_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/gpu/probe"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// becomeUser runs tests of this package as an ordinary user, with more variables, and returns what they
// said.
func becomeUser(t *testing.T, tests string, env ...string) string {
	t.Helper()
	testenv.Need(t, "users")
	exe := filepath.Join(testenv.PublicDir(t), "probe.test")
	b, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(exe, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := testenv.As(t, testenv.WithoutSubuid).Command(exe, "-test.run", tests, "-test.v")
	cmd.Env = append(append(cmd.Env, builtHelper+"="+helper(t)), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") || strings.Contains(string(out), "--- SKIP") {
		t.Errorf("as %s: %v\n%s", testenv.WithoutSubuid, err, out)
	}
	return string(out)
}

// The same machines as an ordinary user makes and sees them, and what only she is refused.
func TestAsOrdinaryUser(t *testing.T) {
	testenv.Need(t, "root") // to everybody else the other tests are that
	becomeUser(t, "^(TestWholeMachines|TestBrokenMachines|TestWithoutHelper|TestDeniedHere|TestTheWholeGroupIsKilled)$")
}

// deniedVar is the folder of a machine that root made.
const deniedVar = "PROBE_TEST_DENIED"

// Nodes of a group that the user is not in.
func TestDenied(t *testing.T) {
	testenv.Need(t, "root", "mknod")
	m := gputest.New(t, "denied")
	m.BuildNVML(t)
	if m.Nodes != gputest.NodesReal {
		t.Fatal("nodes that everybody can open:", m.Nodes)
	}
	becomeUser(t, "^TestDeniedByRoot$", deniedVar+"="+m.Dir)
}

func TestDeniedByRoot(t *testing.T) {
	dir := os.Getenv(deniedVar)
	if dir == "" {
		return // run by TestDenied
	}
	inv, err := probe.Probe(context.Background(), probe.Options{Roots: gpu.Below(dir), Helper: helper(t)})
	var denied *probe.PermissionError
	if !errors.As(err, &denied) || err.Error() != "no permission to open /dev/nvidiactl (mode 0660, group video)" {
		t.Fatalf("%v", err)
	}
	if h := denied.Hint(); !strings.Contains(h, "sudo usermod -aG video $USER") {
		t.Errorf("hint %q", h)
	}
	if len(inv.Devices) != 2 || inv.Source != "procfs" {
		t.Errorf("%+v", inv)
	}
}

// One GPU that may not be opened is that GPU's business; none that may is everybody's.
func TestDeniedHere(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root may open everything; TestAsOrdinaryUser runs this")
		return
	}
	m := gputest.New(t, "gke")
	m.BuildNVML(t)
	deny := func(name string) {
		m.Remove(t, "dev/"+name)
		m.Write(t, "dev/"+name, "")
		if err := os.Chmod(m.Path("dev/"+name), 0); err != nil {
			t.Fatal(err)
		}
	}
	deny("nvidia1")
	o, _ := options(t, m)
	inv, err := probe.Probe(context.Background(), o)
	if err != nil || inv.Devices[0].Error != "" || !strings.HasPrefix(inv.Devices[1].Error, "no permission to open /dev/nvidia1 (mode 0000") {
		t.Errorf("%v %+v", err, inv.Devices)
	}
	var denied *probe.PermissionError
	for _, c := range []struct{ node, path string }{{"nvidia0", "/dev/nvidia1"}, {"nvidia-uvm", "/dev/nvidia1"}, {"nvidiactl", "/dev/nvidiactl"}} {
		deny(c.node)
		_, err = probe.Probe(context.Background(), o)
		if !errors.As(err, &denied) || denied.Path != c.path || !strings.Contains(denied.Hint(), "ask who runs this machine") {
			t.Errorf("%s: %v", c.node, err)
		}
	}
}

// In a device cgroup that leaves the GPUs out the mode of the nodes says yes, and the kernel no.
func TestInDeviceCgroup(t *testing.T) {
	testenv.Need(t, "root", "devcgroup", "mknod")
	m := gputest.New(t, "gke")
	m.BuildNVML(t)
	if m.Nodes != gputest.NodesReal {
		t.Fatal("root may make device nodes, and these are none")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestCgroupDenies$", "-test.v")
	cmd.Env = append(os.Environ(), builtHelper+"="+helper(t), deniedVar+"="+m.Dir, cgroupVar+"="+testenv.WithoutDevices(t, "c 195:* rwm"))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

const cgroupVar = "PROBE_TEST_CGROUP"

func TestCgroupDenies(t *testing.T) {
	procs, dir := os.Getenv(cgroupVar), os.Getenv(deniedVar)
	if procs == "" {
		return // run by TestInDeviceCgroup
	}
	if err := testenv.EnterCgroup(procs); err != nil {
		t.Fatal(err)
	}
	_, err := probe.Probe(context.Background(), probe.Options{Roots: gpu.Below(dir), Helper: helper(t)})
	var denied *probe.PermissionError
	if !errors.As(err, &denied) || !denied.Cgroup || err.Error() != "opening /dev/nvidiactl is forbidden although its mode 0666 allows it" {
		t.Fatalf("%v", err)
	}
	if h := denied.Hint(); !strings.Contains(h, "docker run --gpus") {
		t.Errorf("hint %q", h)
	}
}
