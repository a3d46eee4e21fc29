package sandbox

import (
	"path/filepath"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/smallfile"
)

// NoDriverError says that there is a GPU and nothing that drives it.
type NoDriverError struct{}

func (e *NoDriverError) Error() string {
	return "this machine has an NVIDIA GPU and no NVIDIA driver: the kernel module nvidia is not loaded"
}

// Hint implements hint.Hinter.
func (e *NoDriverError) Hint() string {
	return "install the driver of your distribution, or sudo modprobe nvidia; --gpus none runs on the processor"
}

// hasGPU looks among the PCI devices for a display or 3D controller of NVIDIA's, whatever drives it.
func hasGPU(roots gpu.Roots) bool {
	vendors, err := filepath.Glob(filepath.Join(roots.Sys, "bus/pci/devices/*/vendor"))
	if err != nil {
		return false
	}
	for _, v := range vendors {
		vendor, err := smallfile.Read(v)
		if err != nil || strings.TrimSpace(string(vendor)) != "0x10de" {
			continue
		}
		class, err := smallfile.Read(filepath.Join(filepath.Dir(v), "class"))
		if err == nil && strings.HasPrefix(string(class), "0x03") {
			return true
		}
	}
	return false
}

// noGPU says why there is none in the inventory.
func (m *Manager) noGPU(r gpu.Request, inv gpu.Inventory) error {
	if inv.Source == "none" && hasGPU(m.GPURoots()) {
		return &NoDriverError{}
	}
	e := &NoGPUError{Source: r.Source}
	for _, p := range m.GPUProblems() {
		if e.Why == nil && unasked(p) {
			e.Why = p
		}
	}
	return e
}
