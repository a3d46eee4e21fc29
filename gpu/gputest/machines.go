package gputest

import (
	"fmt"

	"github.com/4cc2e759/sandbox/gpu"
)

// shape is what a machine is built from.
type shape struct {
	source  string // of its inventory
	driver  string
	module  string
	open    bool
	cuda    gpu.Version
	libDir  string
	lib32   string
	binDir  string
	glibc   string // that the driver's newer files need
	devices []gpu.Device

	init int
	hang string
	lost []int
	// fallback: NVML does not answer, so the inventory is what procfs has.
	fallback bool
	bare     bool // no driver at all
	build    func(*tree)
}

const mib = 1 << 20

// h100s is the eight of an HGX board: every one reaches every other over NVLink switches.
func h100s(n int) []gpu.Device {
	var out []gpu.Device
	buses := []string{"1b", "43", "52", "61", "9d", "c3", "d1", "df"}
	for i := range n {
		d := gpu.Device{
			Index: i, Minor: i, BDF: "0000:" + buses[i] + ":00.0", Name: "NVIDIA H100 80GB HBM3", CC: gpu.CC{9, 0}, NUMA: i / 4,
			UUID:   fmt.Sprintf("GPU-%08x-4b1e-91c7-5d2a-0c5e6a7b8f%02x", 0x8f3a0000+i*0x01110101, i),
			Memory: gpu.Memory{Total: 81559 * mib, Free: 81008 * mib}, ComputeMode: "default", Persistence: true, ECC: true,
		}
		for j := range n {
			if j != i {
				d.Links = append(d.Links, j)
			}
		}
		out = append(out, d)
	}
	if n > 2 {
		out[2].Memory.Free = 20123 * mib
		out[2].Processes = []gpu.Process{{PID: 4711, Name: "python3", Memory: 60000 * mib}}
	}
	return out
}

// a100s: the first two are sliced. Minor numbers are not indexes.
func a100s() []gpu.Device {
	var out []gpu.Device
	for i, bus := range []string{"07", "0f", "47", "4e"} {
		out = append(out, gpu.Device{
			Index: i, Minor: (i + 2) % 4, BDF: "0000:" + bus + ":00.0", Name: "NVIDIA A100-SXM4-40GB", CC: gpu.CC{8, 0}, NUMA: i / 2,
			UUID:   fmt.Sprintf("GPU-a100%04x-0000-4000-8000-00000000a1%02x", i, i),
			Memory: gpu.Memory{Total: 40960 * mib, Free: 40326 * mib}, ComputeMode: "default", Persistence: true, ECC: true,
		})
	}
	slice := func(dev, index, gi int, profile string, total int) gpu.MIG {
		return gpu.MIG{Index: index, GI: gi, Profile: profile, UUID: fmt.Sprintf("MIG-%08x-5a5a-5b5b-8c8c-%012x", dev<<16+index, gi+1),
			Memory: gpu.Memory{Total: uint64(total) * mib, Free: uint64(total-12) * mib}}
	}
	out[0].MIGMode, out[1].MIGMode = true, true
	out[0].MIG = []gpu.MIG{slice(0, 0, 2, "3g.20gb", 19968), slice(0, 1, 3, "2g.10gb", 9856), slice(0, 2, 9, "1g.5gb", 4864)}
	out[0].MIG[0].Busy = 1
	out[0].Processes = []gpu.Process{{PID: 2000, Name: "jupyter", Memory: 512 * mib}}
	for i := range 7 {
		out[1].MIG = append(out[1].MIG, slice(1, i, 7+i, "1g.5gb", 4864))
	}
	out[2].Links, out[3].Links = []int{3}, []int{2}
	return out
}

func one(d gpu.Device) []gpu.Device {
	d.ComputeMode = "default"
	return []gpu.Device{d}
}

func l4s() []gpu.Device {
	var out []gpu.Device
	for i, bus := range []string{"00:03", "00:04"} {
		out = append(out, gpu.Device{Index: i, Minor: i, BDF: "0000:" + bus + ".0", Name: "NVIDIA L4", CC: gpu.CC{8, 9}, NUMA: 0,
			UUID:   fmt.Sprintf("GPU-14141414-%04x-4444-9999-141414141414", i),
			Memory: gpu.Memory{Total: 23034 * mib, Free: 22491 * mib}, ComputeMode: "default", ECC: true})
	}
	return out
}

// machines has all of them by name.
func machines() map[string]*shape {
	all := map[string]*shape{
		"h100x8": {driver: "580.95.05", open: true, cuda: gpu.Version{13, 0}, libDir: "/usr/lib/x86_64-linux-gnu", binDir: "/usr/bin", glibc: "2.17", devices: h100s(8)},
		"h200": {driver: "580.95.05", open: true, cuda: gpu.Version{13, 0}, libDir: "/usr/lib/x86_64-linux-gnu", binDir: "/usr/bin", glibc: "2.17",
			devices: one(gpu.Device{BDF: "0000:8d:00.0", Name: "NVIDIA H200", CC: gpu.CC{9, 0}, NUMA: 0, ECC: true, Persistence: true,
				UUID: "GPU-20020000-0580-4141-8888-202020202020", Memory: gpu.Memory{Total: 143771 * mib, Free: 143156 * mib}})},
		"a100-mig": {driver: "550.90.07", cuda: gpu.Version{12, 4}, libDir: "/usr/lib64", binDir: "/usr/bin", glibc: "2.17", devices: a100s()},
		"t4-470": {driver: "470.256.02", cuda: gpu.Version{11, 4}, libDir: "/usr/lib/x86_64-linux-gnu/nvidia/tesla-470", binDir: "/usr/lib/nvidia/tesla-470", glibc: "2.14",
			devices: one(gpu.Device{BDF: "0000:00:1e.0", Name: "Tesla T4", CC: gpu.CC{7, 5}, NUMA: -1, ECC: true,
				UUID: "GPU-7474f00d-0470-0256-0002-747474747474", Memory: gpu.Memory{Total: 15109 * mib, Free: 15106 * mib}})},
		"laptop-ubuntu2404": {driver: "560.35.03", open: true, cuda: gpu.Version{12, 6}, libDir: "/usr/lib/x86_64-linux-gnu", lib32: "/usr/lib/i386-linux-gnu", binDir: "/usr/bin", glibc: "2.34",
			devices: one(gpu.Device{BDF: "0000:01:00.0", Name: "NVIDIA GeForce RTX 4090 Laptop GPU", CC: gpu.CC{8, 9}, NUMA: -1,
				UUID: "GPU-40904090-1a2b-3c4d-5e6f-409040904090", Memory: gpu.Memory{Total: 16376 * mib, Free: 15400 * mib}})},
		"wsl2": {source: "wsl", driver: "560.94", cuda: gpu.Version{12, 6}, libDir: "/usr/lib/wsl/lib", binDir: "/usr/lib/wsl/lib", glibc: "2.17",
			devices: one(gpu.Device{Minor: -1, BDF: "0000:01:00.0", Name: "NVIDIA GeForce RTX 3080", CC: gpu.CC{8, 6}, NUMA: -1,
				UUID: "GPU-30803080-aaaa-bbbb-cccc-308030803080", Memory: gpu.Memory{Total: 10240 * mib, Free: 8800 * mib}})},
		"gke": {driver: "535.183.01", cuda: gpu.Version{12, 2}, libDir: "/home/kubernetes/bin/nvidia/lib64", binDir: "/home/kubernetes/bin/nvidia/bin", glibc: "2.17", devices: l4s()},
	}
	for _, name := range Whole() {
		s := all[name]
		s.module = s.driver
		s.build = func(tr *tree) { s.onServer(tr) }
	}
	all["wsl2"].module, all["wsl2"].build = "", all["wsl2"].onWSL
	laptop := all["laptop-ubuntu2404"]
	laptop.build = func(tr *tree) { laptop.onServer(tr); laptop.graphics(tr) }
	broken(all)
	return all
}

// broken makes machines with one fault each from a server with two GPUs.
func broken(all map[string]*shape) {
	for _, name := range Broken() {
		s := *all["h100x8"]
		s.devices = h100s(2)
		s.build = func(tr *tree) { s.onServer(tr) }
		all[name] = &s
	}
	m := all["mismatch"]
	m.module, m.init, m.fallback = "580.82.07", 18, true
	uvm := all["no-uvm"]
	uvm.build = func(tr *tree) { uvm.onServer(tr); tr.remove("dev/nvidia-uvm", "dev/nvidia-uvm-tools") }
	all["lost"].lost = []int{1}
	all["no-driver"].bare = true
	none, lib := all["no-driver"], all["no-driver"].libDir[1:]
	none.build = func(tr *tree) {
		none.onServer(tr)
		tr.remove("dev", "proc/driver", "sys/module/nvidia", "sys/module/nvidia_uvm", lib, "etc/ld.so.cache")
		tr.folder("dev", "proc", "sys/module")
	}
	denied := all["denied"]
	denied.init, denied.fallback = 4, true
	denied.build = func(tr *tree) {
		denied.onServer(tr)
		tr.deny("dev/nvidiactl", "dev/nvidia-uvm", "dev/nvidia0", "dev/nvidia1")
	}
	all["hang"].hang, all["hang"].fallback = "count", true
	all["no-symbol"].fallback = true
	all["unknown"].init, all["unknown"].fallback = 999, true
}

// hardware is everything that there is.
func (s *shape) hardware() gpu.Inventory {
	source := s.source
	if source == "" {
		source = "nvml"
	}
	return gpu.Inventory{Source: source, Driver: s.driver, Module: s.module, Open: s.open, CUDA: s.cuda, Devices: clone(s.devices)}
}

func clone(devices []gpu.Device) []gpu.Device { return append([]gpu.Device(nil), devices...) }

// inventory is what can be known of it.
func (s *shape) inventory() gpu.Inventory {
	inv := s.hardware()
	if s.bare {
		return gpu.Inventory{Source: "none"}
	}
	if s.fallback {
		inv.Source, inv.CUDA = "procfs", gpu.Version{}
		for i, d := range inv.Devices {
			inv.Devices[i] = gpu.Device{Index: d.Index, Minor: d.Minor, UUID: d.UUID, BDF: d.BDF, Name: d.Name, NUMA: d.NUMA}
		}
	}
	for _, i := range s.lost {
		d := inv.Devices[i]
		inv.Devices[i] = gpu.Device{Index: d.Index, Minor: d.Minor, UUID: d.UUID, BDF: d.BDF, Name: d.Name, NUMA: d.NUMA, Error: "GPU is lost (NVML error 15)"}
		for j := range inv.Devices {
			inv.Devices[j].Links = nil // of the two, the other one has no peer left
		}
	}
	return inv
}
