package inject

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

func TestNodesAreChecked(t *testing.T) {
	testenv.Need(t, "root")
	fails := func(m *gputest.Machine, problem string) *NodeError {
		t.Helper()
		in := inputs(t, m, 1)
		in.Image = debian(t).image()
		_, err := Plan(in)
		var e *NodeError
		if !errors.As(err, &e) || !strings.Contains(e.Problem, problem) || len(hint.Of(err)) != 1 {
			t.Fatalf("%q: %v", problem, err)
		}
		return e
	}
	m := gputest.New(t, "no-uvm")
	if e := fails(m, "does not exist"); !e.Missing || !strings.HasSuffix(e.Path, "/dev/nvidia-uvm") || !strings.Contains(e.Hint(), "nvidia-modprobe -u -c=0") {
		t.Errorf("%+v", e)
	}
	remake := func(m *gputest.Machine, name string, major, minor uint32) {
		t.Helper()
		m.Remove(t, name)
		if err := syscall.Mknod(m.Path(name), syscall.S_IFCHR|0o666, int(unix.Mkdev(major, minor))); err != nil {
			t.Fatal(err)
		}
	}
	m = gputest.New(t, "gke")
	remake(m, "dev/nvidia-uvm", 511, 0)
	fails(m, "its number is 511:0 and should be 510:0")
	m = gputest.New(t, "gke")
	remake(m, "dev/nvidia0", 195, 1)
	fails(m, "its number is 195:1 and should be 195:0")
	m = gputest.New(t, "gke")
	m.Remove(t, "dev/nvidiactl")
	if err := os.WriteFile(m.Path("dev/nvidiactl"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	fails(m, "no character device")
	m = gputest.New(t, "gke")
	b, err := os.ReadFile(m.Path("proc/devices"))
	if err == nil {
		err = os.WriteFile(m.Path("proc/devices"), []byte(strings.ReplaceAll(string(b), "nvidia-uvm", "other")), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	fails(m, "nvidia-uvm is not loaded")
}

func TestANodeOfAGroupIsRefused(t *testing.T) {
	testenv.Need(t, "root")
	m := gputest.New(t, "denied")
	in := inputs(t, m, 1)
	in.Facts = &ImageFacts{Libc: "glibc", Conf: true}
	done := make(chan error)
	go func() {
		// Only this thread becomes somebody else, and it ends with the goroutine.
		runtime.LockOSThread()
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); e != 0 {
			done <- e
			return
		}
		_, err := Plan(in)
		done <- err
	}()
	err := <-done
	var e *NodeError
	if !errors.As(err, &e) || !strings.Contains(e.Problem, "you may not read and write it (mode 0660)") {
		t.Errorf("%v", err)
	}
}

// inCgroup is the cgroup.procs file that a child of TestACgroupIsNamed goes to.
const inCgroup = "INJECT_TEST_CGROUP"

func TestACgroupIsNamed(t *testing.T) {
	testenv.Need(t, "root", "devcgroup")
	if procs := os.Getenv(inCgroup); procs != "" {
		in := inputs(t, gputest.New(t, "gke"), 1)
		in.Facts = &ImageFacts{Libc: "glibc", Conf: true}
		if err := testenv.EnterCgroup(procs); err != nil {
			t.Fatal(err)
		}
		_, err := Plan(in)
		var e *NodeError
		if !errors.As(err, &e) || e.Problem != "opening it is forbidden although its mode 0666 allows it" || !strings.Contains(e.Hint(), "docker run --gpus") {
			t.Errorf("%v", err)
		}
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestACgroupIsNamed$")
	cmd.Env = append(os.Environ(), inCgroup+"="+testenv.WithoutDevices(t, "c 195:* rw"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestALostGPUIsRefused(t *testing.T) {
	in := inputs(t, gputest.New(t, "lost"), 2)
	in.Image = debian(t).image()
	if _, err := Plan(in); err == nil || !strings.Contains(err.Error(), "NVML error 15") || len(hint.Of(err)) != 1 {
		t.Errorf("%v", err)
	}
	in.Picks = in.Picks[:1]
	plan(t, in)
}

func TestMinorIsNotIndex(t *testing.T) {
	m := gputest.New(t, "a100-mig")
	in := inputs(t, m, 4)
	in.Picks = in.Picks[2:3] // index 2, minor 0
	in.Image = debian(t).image()
	out := plan(t, in)
	if !slices.ContainsFunc(out.Nodes, func(n Node) bool { return n.Target == "/dev/nvidia0" }) || slices.ContainsFunc(out.Nodes, func(n Node) bool { return n.Target == "/dev/nvidia2" }) {
		t.Errorf("%+v", out.Nodes)
	}
}

func TestSlicesOfOneGPU(t *testing.T) {
	m := gputest.New(t, "a100-mig")
	in := inputs(t, m, 1)
	d := in.Picks[0].Device
	in.Picks = []gpu.Pick{{Device: d, MIG: &d.MIG[0]}, {Device: d, MIG: &d.MIG[2]}}
	in.Image = debian(t).image()
	out := plan(t, in)
	caps := 0
	for _, n := range out.Nodes {
		if strings.HasPrefix(n.Target, "/dev/nvidia-caps/") {
			caps++
		}
	}
	if caps != 4 || out.Env["CUDA_VISIBLE_DEVICES"] != d.MIG[0].UUID+","+d.MIG[2].UUID || !says(out.Notes, "one MIG slice at a time") || slices.Contains(out.Unset, "CUDA_VISIBLE_DEVICES") {
		t.Errorf("%d nodes, %v, %q", caps, out.Env, out.Notes)
	}
	gone := d.MIG[0]
	gone.GI = 99
	in.Picks[0].MIG = &gone
	if _, err := Plan(in); err == nil || !strings.Contains(err.Error(), "no line for gpu2/gi99/access") {
		t.Errorf("%v", err)
	}
}

func TestUtilityAloneNeedsNoUVM(t *testing.T) {
	m := gputest.New(t, "no-uvm")
	in := inputs(t, m, 1, gpu.Utility)
	in.Image = debian(t).image()
	out := plan(t, in)
	if out.Memlock || out.Record.Libcuda != "" || target(out, Lib64+"/libcuda.so."+m.Driver) || !target(out, Lib64+"/libnvidia-ml.so."+m.Driver) {
		t.Errorf("%+v", out)
	}
}

// Of two GPUs of different makers, the nodes of the picked one are shown, found by its address.
func TestGraphicsNodes(t *testing.T) {
	m := gputest.New(t, "laptop-ubuntu2404")
	if err := os.Mkdir(m.Path("sys/bus/pci/devices/0000:01:00.0/drm/controlD65"), 0o755); err != nil {
		t.Fatal(err)
	}
	in := inputs(t, m, 1, gpu.Compute, gpu.Graphics)
	in.Image = debian(t).image()
	out := plan(t, in)
	var nodes []string
	for _, n := range out.Nodes {
		if strings.HasPrefix(n.Target, "/dev/dri") {
			nodes = append(nodes, n.Target)
		}
	}
	if !slices.Equal(nodes, []string{"/dev/dri/card1", "/dev/dri/renderD129"}) || says(out.Notes, "/dev/dri") {
		t.Errorf("%q %q", nodes, out.Notes)
	}
	var links []string
	for _, l := range out.Links {
		if strings.HasPrefix(l.Target, "/dev/dri/by-path/") {
			links = append(links, l.Target[len("/dev/dri/by-path/"):]+" "+l.To)
		}
	}
	if !slices.Equal(links, []string{"pci-0000:01:00.0-card ../card1", "pci-0000:01:00.0-render ../renderD129"}) {
		t.Errorf("%q", links)
	}
	m.Remove(t, "sys/bus/pci/devices/0000:01:00.0/drm")
	if out = plan(t, in); !says(out.Notes, "has no node in /dev/dri") {
		t.Errorf("%q", out.Notes)
	}
}

// Containers hide drivers in /proc/devices. Where it names none of NVIDIA's it proves nothing against a node
// that is there; where one is missing, nobody can say its number either.
func TestHiddenListOfDevices(t *testing.T) {
	m := gputest.New(t, "a100-mig")
	m.Write(t, "proc/devices", "Character devices:\n  1 mem\n\nBlock devices:\n  8 sd\n")
	in := inputs(t, m, 1)
	d := in.Picks[0].Device
	in.Picks = []gpu.Pick{{Device: d, MIG: &d.MIG[0]}}
	in.Image = debian(t).image()
	in.CheckNodes = m.Nodes == gputest.NodesReal
	out := plan(t, in)
	if !slices.ContainsFunc(out.Nodes, func(n Node) bool { return n.Target == "/dev/nvidia-uvm" }) {
		t.Errorf("%+v", out.Nodes)
	}
	m.Remove(t, "dev/nvidia-uvm")
	var e *NodeError
	if _, err := Plan(in); !errors.As(err, &e) || !e.Missing || e.Problem != "it does not exist" {
		t.Errorf("%v", err)
	}
}
