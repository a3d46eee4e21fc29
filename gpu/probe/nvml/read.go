//go:build linux && cgo

package nvml

import (
	"fmt"
	"math"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/4cc2e759/sandbox/gpu"
)

// reader is one conversation with the library.
type reader struct {
	lib nvml.Interface
}

// Read loads the library (a path, or "" for what the dynamic linker finds) and asks it everything. An
// *[Error] means that NVML as a whole does not work; what is wrong with one GPU is in its Error field.
// What it cannot know is left for the caller: Module, Open, NUMA (-1), the names of processes.
func Read(library string) (gpu.Inventory, error) {
	var opts []nvml.LibraryOption
	if library != "" {
		opts = append(opts, nvml.WithLibraryPath(library))
	}
	r := &reader{nvml.New(opts...)}
	if rc := r.lib.Init(); rc != nvml.SUCCESS {
		return gpu.Inventory{}, failed("nvmlInit", rc)
	}
	defer r.lib.Shutdown()
	inv := gpu.Inventory{Source: "nvml"}
	if r.has("nvmlSystemGetDriverVersion") {
		inv.Driver, _ = value(r.lib.SystemGetDriverVersion())
	}
	if r.has("nvmlSystemGetCudaDriverVersion_v2") {
		if v, rc := r.lib.SystemGetCudaDriverVersion_v2(); rc == nvml.SUCCESS {
			inv.CUDA = gpu.Version{v / 1000, v % 1000 / 10}
		}
	}
	if !r.has("nvmlDeviceGetCount_v2", "nvmlDeviceGetCount") || !r.has("nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex") {
		return inv, failed("nvmlDeviceGetCount", nvml.ERROR_FUNCTION_NOT_FOUND)
	}
	n, rc := r.lib.DeviceGetCount()
	if rc != nvml.SUCCESS {
		return inv, failed("nvmlDeviceGetCount", rc)
	}
	handles := make([]nvml.Device, n)
	for i := range n {
		var d gpu.Device
		d, handles[i] = r.device(i)
		inv.Devices = append(inv.Devices, d)
	}
	r.links(inv.Devices, handles)
	return inv, nil
}

// has tells whether the library has one of the functions.
func (r *reader) has(names ...string) bool {
	for _, name := range names {
		if r.lib.Extensions().LookupSymbol(name) == nil {
			return true
		}
	}
	return false
}

func failed(call string, rc nvml.Return) *Error { return &Error{call, int(rc), text(int(rc))} }

// value drops what came with an error.
func value[T any](v T, rc nvml.Return) (T, bool) {
	if rc != nvml.SUCCESS {
		var zero T
		return zero, false
	}
	return v, true
}

// fatal are answers after which a GPU is of no use: it fell off the bus, or it waits for a reset.
func fatal(rc nvml.Return) bool {
	return rc == nvml.ERROR_GPU_IS_LOST || rc == nvml.ERROR_RESET_REQUIRED || rc == nvml.ERROR_NO_PERMISSION || rc == nvml.ERROR_UNKNOWN
}

func (r *reader) device(i int) (gpu.Device, nvml.Device) {
	d := gpu.Device{Index: i, Minor: -1, NUMA: -1}
	h, rc := r.lib.DeviceGetHandleByIndex(i)
	if rc != nvml.SUCCESS {
		d.Error = fmt.Sprintf("%s (NVML error %d)", text(int(rc)), rc)
		return d, nil
	}
	keep := func(rc nvml.Return) {
		if fatal(rc) && d.Error == "" {
			d.Error = fmt.Sprintf("%s (NVML error %d)", text(int(rc)), rc)
		}
	}
	if r.has("nvmlDeviceGetUUID") {
		d.UUID, rc = h.GetUUID()
		keep(rc)
	}
	if r.has("nvmlDeviceGetMinorNumber") {
		if m, ok := value(h.GetMinorNumber()); ok {
			d.Minor = m
		}
	}
	if r.has("nvmlDeviceGetName") {
		d.Name, rc = h.GetName()
		keep(rc)
	}
	if r.has("nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetPciInfo_v2", "nvmlDeviceGetPciInfo") {
		info, rc := h.GetPciInfo()
		keep(rc)
		if rc == nvml.SUCCESS {
			d.BDF = bdf(info)
		}
	}
	if r.has("nvmlDeviceGetCudaComputeCapability") {
		if major, minor, rc := h.GetCudaComputeCapability(); rc == nvml.SUCCESS {
			d.CC = gpu.CC{major, minor}
		}
	}
	// An ordinary user may be refused the memory of a GPU in MIG mode, which is no fault of the GPU.
	if d.Memory, rc = r.memory(h); rc != nvml.ERROR_NO_PERMISSION {
		keep(rc)
	}
	d.Processes = r.processes(h)
	r.modes(&d, h)
	r.slices(&d, h)
	return d, h
}

// bdf is the PCI address as sysfs spells it. NVML's has a domain of eight digits, which old drivers put
// into a field of its own.
func bdf(info nvml.PciInfo) string {
	if info.BusId[0] == 0 {
		return fmt.Sprintf("%04x:%02x:%02x.0", info.Domain, info.Bus, info.Device)
	}
	var b strings.Builder
	for _, c := range info.BusId {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	s := strings.ToLower(b.String())
	domain, rest, ok := strings.Cut(s, ":")
	if !ok {
		return s
	}
	for len(domain) > 4 && domain[0] == '0' {
		domain = domain[1:]
	}
	return domain + ":" + rest
}

func (r *reader) memory(h nvml.Device) (gpu.Memory, nvml.Return) {
	if !r.has("nvmlDeviceGetMemoryInfo") {
		return gpu.Memory{}, nvml.SUCCESS
	}
	m, rc := h.GetMemoryInfo()
	if rc != nvml.SUCCESS {
		return gpu.Memory{}, rc
	}
	return gpu.Memory{Total: m.Total, Free: m.Free}, rc
}

func (r *reader) processes(h nvml.Device) []gpu.Process {
	if !r.has("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetComputeRunningProcesses") {
		return nil
	}
	infos, rc := h.GetComputeRunningProcesses()
	if rc != nvml.SUCCESS {
		return nil
	}
	var out []gpu.Process
	for _, p := range infos {
		q := gpu.Process{PID: int(p.Pid)}
		if p.UsedGpuMemory != math.MaxUint64 { // "not available"
			q.Memory = p.UsedGpuMemory
		}
		out = append(out, q)
	}
	return out
}

func (r *reader) modes(d *gpu.Device, h nvml.Device) {
	if r.has("nvmlDeviceGetComputeMode") {
		if m, ok := value(h.GetComputeMode()); ok {
			d.ComputeMode = map[nvml.ComputeMode]string{nvml.COMPUTEMODE_DEFAULT: "default", nvml.COMPUTEMODE_EXCLUSIVE_THREAD: "exclusive-thread",
				nvml.COMPUTEMODE_PROHIBITED: "prohibited", nvml.COMPUTEMODE_EXCLUSIVE_PROCESS: "exclusive-process"}[m]
		}
	}
	if r.has("nvmlDeviceGetPersistenceMode") {
		if m, ok := value(h.GetPersistenceMode()); ok {
			d.Persistence = m == nvml.FEATURE_ENABLED
		}
	}
	if r.has("nvmlDeviceGetEccMode") {
		if m, _, rc := h.GetEccMode(); rc == nvml.SUCCESS {
			d.ECC = m == nvml.FEATURE_ENABLED
		}
	}
}

// links asks which GPUs reach each other by NVLink, over switches too. Where the driver cannot say that,
// what is at the other end of each link is taken.
func (r *reader) links(devices []gpu.Device, handles []nvml.Device) {
	pairs := r.has("nvmlDeviceGetP2PStatus")
	ends := r.has("nvmlDeviceGetNvLinkState") && r.has("nvmlDeviceGetNvLinkRemotePciInfo_v2", "nvmlDeviceGetNvLinkRemotePciInfo")
	for i, a := range handles {
		if a == nil || devices[i].Error != "" || devices[i].MIGMode {
			continue
		}
		var reached map[string]bool
		if !pairs && ends {
			reached = ofLinks(a)
		}
		for j, b := range handles {
			if i == j || b == nil || devices[j].Error != "" {
				continue
			}
			if pairs {
				s, rc := r.lib.DeviceGetP2PStatus(a, b, nvml.P2P_CAPS_INDEX_NVLINK)
				if rc != nvml.SUCCESS || s != nvml.P2P_STATUS_OK {
					continue
				}
			} else if !reached[devices[j].BDF] {
				continue
			}
			devices[i].Links = append(devices[i].Links, j)
		}
	}
}

func ofLinks(h nvml.Device) map[string]bool {
	out := map[string]bool{}
	for link := range nvml.NVLINK_MAX_LINKS {
		if on, rc := h.GetNvLinkState(link); rc != nvml.SUCCESS || on != nvml.FEATURE_ENABLED {
			continue
		}
		if info, rc := h.GetNvLinkRemotePciInfo(link); rc == nvml.SUCCESS {
			out[bdf(info)] = true
		}
	}
	return out
}
