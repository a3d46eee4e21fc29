package oracle

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/nvidia-container-toolkit/pkg/nvcdi"
	"github.com/sirupsen/logrus"
	"tags.cncf.io/container-device-interface/specs-go"

	"github.com/4cc2e759/sandbox/gpu/gputest"
)

// choice is what somebody puts into a container.
type choice struct {
	Nodes []string          // targets
	Files map[string]string // path on the machine, links followed → base name in the container
	Links map[string]string // base name of a library's link → what it says
}

// job is what a child does.
type job struct{ Root, DriverRoot, NVML string }

const jobVar = "SANDBOX_ORACLE_JOB"

// The child enters the fake machine with chroot: nvcdi has /proc and /sys in its code. A child for each
// machine, because one process can load one libnvidia-ml.
func TestMain(m *testing.M) {
	if text := os.Getenv(jobVar); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	if err := syscall.Chroot(j.Root); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	l, err := nvcdi.New(nvcdi.WithMode(nvcdi.ModeNvml), nvcdi.WithDriverRoot(j.DriverRoot), nvcdi.WithDevRoot("/"), nvcdi.WithLogger(log),
		nvcdi.WithNvmlLib(nvml.New(nvml.WithLibraryPath(j.NVML))), nvcdi.WithFeatureFlags(nvcdi.FeatureDisableNvsandboxUtils))
	if err != nil {
		return err
	}
	s, err := l.GetSpec("all")
	if err != nil {
		return err
	}
	out := map[string]*choice{}
	for _, d := range s.Raw().Devices {
		c := &choice{Files: map[string]string{}, Links: map[string]string{}}
		if err := c.add(&s.Raw().ContainerEdits); err != nil {
			return err
		}
		if err := c.add(&d.ContainerEdits); err != nil {
			return err
		}
		slices.Sort(c.Nodes)
		c.Nodes = slices.Compact(c.Nodes)
		out[d.Name] = c
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// add takes in the edits of a description, in the child.
func (c *choice) add(e *specs.ContainerEdits) error {
	for _, n := range e.DeviceNodes {
		c.Nodes = append(c.Nodes, n.Path)
	}
	for _, m := range e.Mounts {
		real, err := filepath.EvalSymlinks(m.HostPath)
		if err != nil {
			return err
		}
		c.Files[real] = filepath.Base(m.ContainerPath)
	}
	for _, h := range e.Hooks {
		for i, a := range h.Args {
			to, at, ok := strings.Cut(a, "::")
			if ok && i > 0 && h.Args[i-1] == "--link" {
				c.Links[filepath.Base(at)] = to
			}
		}
	}
	return nil
}

// theirs runs nvcdi on a machine: device ("0", "0:1" for a slice) → what it gets.
func theirs(t *testing.T, m *gputest.Machine) (map[string]*choice, error) {
	t.Helper()
	m.BuildNVML(t)
	root := "/"
	if lib, ok := strings.CutSuffix(m.LibDir, "/lib64"); ok && strings.HasPrefix(lib, "/home/") {
		root = lib // what its operator is told where the driver is not in the usual place
	}
	text, err := json.Marshal(job{Root: m.Dir, DriverRoot: root, NVML: m.LibDir + "/libnvidia-ml.so.1"})
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), jobVar+"="+string(text), "LD_PRELOAD="+profiles(t))
	cmd.Stderr = &stderr
	stop := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	out := map[string]*choice{}
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, err
	}
	return out, nil
}

// profiles is a library with what the fake NVML lacks.
func profiles(t *testing.T) string {
	t.Helper()
	lib := filepath.Join(t.TempDir(), "profiles.so")
	out, err := exec.Command("gcc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", lib, "testdata/mig_profiles.c").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return lib
}
