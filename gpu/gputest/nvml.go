package gputest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

//go:embed testdata/fake_nvml.c
var source []byte

// built keeps libraries of this process by their defines: one compiler run each.
var built sync.Map

// NeedCompiler skips the test without gcc; where conditions must hold, as in CI, it fails.
func NeedCompiler(t testing.TB) {
	t.Helper()
	need(t, "gcc")
}

func need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil && os.Getenv(testenv.MustVar) != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

// NVML compiles the fake libnvidia-ml and returns its bytes. Defines are as fake_nvml.c has them:
// "DRIVER=470", "NO_MIG". It takes gcc: see [NeedCompiler].
func NVML(t testing.TB, defines ...string) []byte {
	t.Helper()
	NeedCompiler(t)
	build := func() ([]byte, error) {
		dir := t.TempDir()
		src, out := filepath.Join(dir, "fake_nvml.c"), filepath.Join(dir, "lib.so")
		if err := os.WriteFile(src, source, 0o600); err != nil {
			return nil, err
		}
		args := []string{"-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", "-o", out, src, "-ldl"}
		for _, d := range defines {
			args = append(args, "-Wno-unused-function", "-D"+d)
		}
		if msg, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("gcc: %w: %s", err, msg)
		}
		return os.ReadFile(out)
	}
	f, _ := built.LoadOrStore(strings.Join(defines, " "), sync.OnceValues(build))
	lib, err := f.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// BuildNVML puts the fake libnvidia-ml in the place of the machine's own, which has no code. An old driver
// lacks what it lacked.
func (m *Machine) BuildNVML(t testing.TB, defines ...string) {
	t.Helper()
	if m.LibDir == "" {
		return
	}
	if strings.HasPrefix(m.Driver, "470.") {
		defines = append([]string{"DRIVER=470"}, defines...)
	}
	if m.Name == "no-symbol" {
		defines = append([]string{"NO_INIT"}, defines...)
	}
	p := m.Path(m.LibDir + "/libnvidia-ml.so.1")
	real, err := filepath.EvalSymlinks(p)
	if err == nil {
		err = os.WriteFile(real, NVML(t, defines...), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// WriteConf tells the fake NVML what Hardware says now.
func (m *Machine) WriteConf(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(m.conf(), []byte(m.describe()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Lose makes GPUs fall off the bus: NVML answers 15 for them from now on.
func (m *Machine) Lose(t testing.TB, indexes ...int) {
	t.Helper()
	m.lost = indexes
	m.WriteConf(t)
}

// Refuse makes nvmlInit answer a code: 9, 18, 4, 999; 0 is success.
func (m *Machine) Refuse(t testing.TB, code int) {
	t.Helper()
	m.init = code
	m.WriteConf(t)
}

// Hang makes NVML sleep for ever: in "init", "count" or "memory"; "" is not any more.
func (m *Machine) Hang(t testing.TB, where string) {
	t.Helper()
	m.hang = where
	m.WriteConf(t)
}

func (m *Machine) describe() string {
	var b strings.Builder
	inv := m.Hardware
	fmt.Fprintf(&b, "driver %s\ncuda %d\n", m.Driver, inv.CUDA[0]*1000+inv.CUDA[1]*10)
	if m.init != 0 {
		fmt.Fprintf(&b, "init %d\n", m.init)
	}
	if m.hang != "" {
		fmt.Fprintf(&b, "hang %s\n", m.hang)
	}
	for _, d := range inv.Devices {
		mask := 0
		for _, l := range d.Links {
			mask |= 1 << l
		}
		ecc := map[bool]int{true: 1, false: -1}[d.ECC]
		mig := -1
		if d.CC == (gpu.CC{8, 0}) || d.CC == (gpu.CC{9, 0}) {
			mig = map[bool]int{true: 1}[d.MIGMode]
		}
		mode := max(0, slices.Index([]string{"default", "exclusive-thread", "prohibited", "exclusive-process"}, d.ComputeMode))
		fmt.Fprintf(&b, "gpu %s 0000%s %d %s %d %d %d %d %d %d %x %s\n", d.UUID, strings.ToUpper(d.BDF), d.Minor, d.CC,
			d.Memory.Total, d.Memory.Free, mode, map[bool]int{true: 1}[d.Persistence], ecc, mig, mask, d.Name)
	}
	for _, d := range inv.Devices {
		for _, g := range d.MIG {
			fmt.Fprintf(&b, "mig %d %d %d %c %d %d %s %s\n", d.Index, g.GI, g.CI, g.Profile[0], g.Memory.Total, g.Memory.Free, g.UUID, g.Profile)
			for i := range g.Busy {
				fmt.Fprintf(&b, "proc %d %d %d %d\n", d.Index, g.Index, d.Processes[i].PID, d.Processes[i].Memory)
			}
		}
		if len(d.MIG) == 0 {
			for _, p := range d.Processes {
				fmt.Fprintf(&b, "proc %d -1 %d %d\n", d.Index, p.PID, p.Memory)
			}
		}
	}
	for _, i := range m.lost {
		fmt.Fprintf(&b, "rc %d 15\n", i)
	}
	return b.String()
}
