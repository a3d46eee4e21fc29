package probe_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/gpu/probe"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// optVar is the folder of a machine whose library lies in /opt/nvidia/lib64 of this one.
const optVar = "PROBE_TEST_OPT"

// The linker of this machine does not look in /opt: what was found there is named to it.
func TestLibraryOfThisRoot(t *testing.T) {
	testenv.Need(t, "userns")
	m := gputest.New(t, "gke")
	m.BuildNVML(t)
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestLibraryInOpt$", "-test.v")
	cmd.Env = append(os.Environ(), optVar+"="+m.Dir, builtHelper+"="+helper(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestLibraryInOpt(t *testing.T) {
	dir := os.Getenv(optVar)
	if dir == "" {
		return // run by TestLibraryOfThisRoot
	}
	roots := gpu.Below(dir)
	lib := filepath.Join(dir, "home/kubernetes/bin/nvidia/lib64")
	err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	if err == nil {
		err = syscall.Mount("none", "/opt", "tmpfs", 0, "")
	}
	if err == nil {
		err = os.MkdirAll("/opt/nvidia/lib64", 0o755)
	}
	if err == nil {
		err = syscall.Mount(lib, "/opt/nvidia/lib64", "", syscall.MS_BIND, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	roots.FS = "/"
	inv, err := probe.Probe(context.Background(), probe.Options{Roots: roots, Helper: os.Getenv(builtHelper)})
	if err != nil || inv.Source != "nvml" || len(inv.Devices) != 2 {
		t.Errorf("%v %+v", err, inv)
	}
	// Nothing can be found where nothing is: then the linker is asked.
	if err := syscall.Unmount("/opt/nvidia/lib64", 0); err != nil {
		t.Fatal(err)
	}
	if got := probe.Library(roots, "", ""); got != "" {
		t.Errorf("found %s", got)
	}
}

// A driver in a folder of its own is looked for there first, by the version of its files, too; what
// programs of this machine cannot load is passed over.
func TestDriverRoot(t *testing.T) {
	m := gputest.New(t, "h100x8")
	m.BuildNVML(t)
	if err := os.MkdirAll(m.Path("opt/mine/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"libnvidia-ml.so." + m.Driver, "libcuda.so." + m.Driver, "fake_nvml.conf"} {
		m.Rename(t, filepath.Join(m.LibDir, name), "opt/mine/lib/"+name)
	}
	m.Write(t, m.LibDir+"/libcuda.so.590.48.01", string((gputest.ELF{SONAME: "libcuda.so.1"}).Bytes()))
	o, p := options(t, m)
	if _, err := probe.Probe(context.Background(), o); err == nil && len(p.list) == 0 {
		t.Error("a library that lies where nobody looks was found")
	}
	o.DriverRoot = "/opt/mine"
	inv, err := probe.Probe(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	same(t, inv, m.Inventory)

	m.Write(t, m.LibDir+"/libnvidia-ml.so.1", string((gputest.ELF{SONAME: "libnvidia-ml.so.1", Class: 32}).Bytes()))
	if got := probe.Library(m.Roots, "1.2.3", ""); got != "" {
		t.Errorf("a 32-bit library: %s", got)
	}
}
