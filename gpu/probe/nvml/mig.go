//go:build linux && cgo

package nvml

import (
	"fmt"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/4cc2e759/sandbox/gpu"
)

// slices fills the MIG side of a GPU.
func (r *reader) slices(d *gpu.Device, h nvml.Device) {
	if !r.has("nvmlDeviceGetMigMode") {
		return
	}
	mode, _, rc := h.GetMigMode()
	if rc != nvml.SUCCESS || mode != nvml.DEVICE_MIG_ENABLE {
		return
	}
	d.MIGMode = true
	if !r.has("nvmlDeviceGetMaxMigDeviceCount") || !r.has("nvmlDeviceGetMigDeviceHandleByIndex") ||
		!r.has("nvmlDeviceGetGpuInstanceId") || !r.has("nvmlDeviceGetComputeInstanceId") {
		return
	}
	n, rc := h.GetMaxMigDeviceCount()
	if rc != nvml.SUCCESS {
		return
	}
	for i := range n {
		m, rc := h.GetMigDeviceHandleByIndex(i)
		if rc != nvml.SUCCESS {
			continue // indexes may have holes
		}
		slice := gpu.MIG{Index: i, Profile: r.profile(m)}
		var ok [3]bool
		slice.UUID, ok[0] = value(m.GetUUID())
		slice.GI, ok[1] = value(m.GetGpuInstanceId())
		slice.CI, ok[2] = value(m.GetComputeInstanceId())
		if ok != [3]bool{true, true, true} {
			continue // it was taken apart while we looked
		}
		slice.Memory, _ = r.memory(m)
		slice.Busy = len(r.processes(m))
		d.MIG = append(d.MIG, slice)
	}
}

// profile is "1g.10gb": the end of the name that newer drivers give a slice, else computed the way that
// nvidia-smi does.
func (r *reader) profile(m nvml.Device) string {
	if r.has("nvmlDeviceGetName") {
		if name, rc := m.GetName(); rc == nvml.SUCCESS {
			if _, p, ok := strings.Cut(name, " MIG "); ok {
				return strings.TrimSpace(p)
			}
		}
	}
	if !r.has("nvmlDeviceGetAttributes_v2", "nvmlDeviceGetAttributes") {
		return ""
	}
	a, rc := m.GetAttributes()
	if rc != nvml.SUCCESS {
		return ""
	}
	p := fmt.Sprintf("%dg.%dgb", a.GpuInstanceSliceCount, (a.MemorySizeMB+1023)/1024)
	if a.ComputeInstanceSliceCount != a.GpuInstanceSliceCount {
		p = fmt.Sprintf("%dc.%s", a.ComputeInstanceSliceCount, p)
	}
	return p
}
