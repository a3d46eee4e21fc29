package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/probe"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// timeoutVar names the variable that says how long NVML may take, "30s".
const timeoutVar = "SANDBOX_GPU_TIMEOUT"

// maxTimeout is less than what sandbox-gpu-probe gives itself.
const maxTimeout = 5 * time.Minute

// fresh is how old an answer may be for a choice: to ask NVML takes seconds on a machine whose GPUs sleep.
const fresh = time.Second

// gpuAnswer is what the machine said of its GPUs when it was asked last.
type gpuAnswer struct {
	mu       sync.Mutex
	asked    bool
	inv      gpu.Inventory
	err      error
	at       time.Time
	problems []error
	silent   bool // NVML gave no answer in time, and is not asked again
	said     map[string]bool
}

// GPURoots are where facts about GPUs are read from: SANDBOX_GPU_ROOT names a folder with dev, proc, sys
// and a driver below it, for tests and for machines whose driver lies elsewhere.
func (m *Manager) GPURoots() gpu.Roots {
	if dir := m.o.Environ["SANDBOX_GPU_ROOT"]; dir != "" {
		return gpu.Below(dir)
	}
	return gpu.HostRoots()
}

// GPUs asks this machine what it has, once; [Manager.freshGPUs] asks again.
func (m *Manager) GPUs(ctx context.Context) (gpu.Inventory, error) {
	return m.gpusNotOlder(ctx, 0)
}

// freshGPUs is for a choice that is made now.
func (m *Manager) freshGPUs(ctx context.Context) (gpu.Inventory, error) {
	return m.gpusNotOlder(ctx, fresh)
}

func (m *Manager) gpusNotOlder(ctx context.Context, age time.Duration) (gpu.Inventory, error) {
	g := &m.gpus
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.asked || age > 0 && time.Since(g.at) > age {
		g.inv, g.err = m.probeGPUs(ctx, g)
		g.asked, g.at = ctx.Err() == nil, time.Now()
	}
	inv := g.inv
	inv.Devices = slices.Clone(inv.Devices)
	return inv, g.err
}

// GPUProblems are why less is known of the GPUs than NVML would tell, and which are lost.
func (m *Manager) GPUProblems() []error {
	m.gpus.mu.Lock()
	defer m.gpus.mu.Unlock()
	return slices.Clone(m.gpus.problems)
}

func (m *Manager) probeGPUs(ctx context.Context, g *gpuAnswer) (gpu.Inventory, error) {
	o := probe.Options{Roots: m.GPURoots(), DriverRoot: m.o.Environ[driverRootVar], Environ: environList(m.o.Environ), Log: m.o.Log}
	o.Problem = func(err error) {
		g.problems = append(g.problems, err)
		g.silent = g.silent || errors.As(err, new(*probe.TimeoutError))
	}
	if v := m.o.Environ[timeoutVar]; v != "" {
		var err error
		if o.Timeout, err = time.ParseDuration(v); err != nil || o.Timeout <= 0 || o.Timeout > maxTimeout {
			return gpu.Inventory{}, hint.With(fmt.Errorf("%s wants a time of at most %s: %q", timeoutVar, maxTimeout, v), timeoutVar+"=30s")
		}
	}
	if g.silent {
		o.Helper, o.Problem = probe.NoHelper, nil // what the first answer lacked has been said
	} else {
		g.problems = nil
	}
	inv, err := probe.Probe(ctx, o)
	if m.makeNodes(ctx, inv, err) {
		if !g.silent {
			g.problems = nil
		}
		inv, err = probe.Probe(ctx, o)
	}
	return inv, err
}

// makeNodes has nodes made that are missing; it tells whether there is anything new to look at.
func (m *Manager) makeNodes(ctx context.Context, inv gpu.Inventory, err error) bool {
	const control = 255
	var minors []int
	for _, d := range inv.Devices {
		if _, err := os.Stat(filepath.Join(m.GPURoots().Dev, "nvidia"+strconv.Itoa(d.Minor))); d.Minor >= 0 && errors.Is(err, os.ErrNotExist) {
			minors = append(minors, d.Minor)
		}
	}
	if errors.As(err, new(*probe.NoNodeError)) {
		minors = append(minors, control)
	}
	return (len(minors) > 0 || errors.As(err, new(*probe.NoUVMError))) && modprobe(ctx, minors)
}

// modprobe asks NVIDIA's setuid helper to make nodes that the kernel makes only on demand, as every
// CUDA program on the host does; inside, setuid has no effect.
func modprobe(ctx context.Context, minors []int) bool {
	path, err := exec.LookPath("nvidia-modprobe")
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ok := exec.CommandContext(ctx, path, "-u", "-c=0").Run() == nil
	for _, n := range minors {
		ok = exec.CommandContext(ctx, path, "-c="+strconv.Itoa(n)).Run() == nil || ok
	}
	return ok
}

// sayUnknown tells, once, why less is known of the GPUs than NVML would tell.
func (m *Manager) sayUnknown() {
	for _, p := range m.GPUProblems() {
		if !unasked(p) {
			continue // the choice says what it means
		}
		m.noticeOnce("warning: " + p.Error())
		for _, h := range hint.Of(p) {
			m.noticeOnce("hint: " + h)
		}
	}
}

// unasked tells whether a problem kept us from asking the driver.
func unasked(err error) bool {
	switch err.(type) {
	case *probe.NoHelperError, *probe.HelperError, *probe.SymbolError, *probe.TimeoutError, *probe.NVMLError, *probe.SlicedError:
		return true
	}
	return false
}

// noticeOnce says a line about GPUs that has not been said.
func (m *Manager) noticeOnce(text string) {
	m.gpus.mu.Lock()
	said := m.gpus.said[text]
	if m.gpus.said == nil {
		m.gpus.said = map[string]bool{}
	}
	m.gpus.said[text] = true
	m.gpus.mu.Unlock()
	if !said {
		m.notice("%s", text)
	}
}
