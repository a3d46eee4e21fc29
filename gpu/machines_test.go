package gpu

import (
	"fmt"
	"strings"
)

const gib = 1 << 30

// idle is a GPU that nobody uses.
func idle(index int, name string, cc CC, total uint64) Device {
	return Device{
		Index: index, Minor: index, UUID: fmt.Sprintf("GPU-%08x-0000-4000-8000-%012x", 0x8f3a0000+index*0x1111, index),
		BDF: fmt.Sprintf("0000:%02x:00.0", 0x18+index), Name: name, CC: cc, Memory: Memory{Total: total, Free: total - gib}, NUMA: -1, ComputeMode: "default",
	}
}

// h100x8 has two NUMA nodes and NVLink everywhere.
func h100x8() Inventory {
	inv := Inventory{Source: "nvml", Driver: "580.95.05", CUDA: Version{13, 0}}
	for i := range 8 {
		d := idle(i, "NVIDIA H100 80GB HBM3", CC{9, 0}, 80*gib)
		d.NUMA = i / 4
		for j := range 8 {
			if j != i {
				d.Links = append(d.Links, j)
			}
		}
		inv.Devices = append(inv.Devices, d)
	}
	return inv
}

// mixed is a workstation: two RTX 3090 joined by a bridge (1 and 2), a T4 and an A100.
func mixed() Inventory {
	inv := Inventory{Source: "nvml", Devices: []Device{
		idle(0, "Tesla T4", CC{7, 5}, 15*gib), idle(1, "NVIDIA GeForce RTX 3090", CC{8, 6}, 24*gib),
		idle(2, "NVIDIA GeForce RTX 3090", CC{8, 6}, 24*gib), idle(3, "NVIDIA A100-SXM4-40GB", CC{8, 0}, 40*gib),
	}}
	inv.Devices[1].Links, inv.Devices[2].Links = []int{2}, []int{1}
	return inv
}

// sliced has a whole A100, one in MIG mode with three slices, and one in MIG mode without any.
func sliced() Inventory {
	inv := Inventory{Source: "nvml"}
	for i := range 3 {
		inv.Devices = append(inv.Devices, idle(i, "NVIDIA A100-SXM4-80GB", CC{8, 0}, 80*gib))
		inv.Devices[i].NUMA = 0
	}
	inv.Devices[1].MIGMode, inv.Devices[2].MIGMode = true, true
	for i, profile := range []string{"1g.10gb", "1g.10gb", "3g.40gb"} {
		var total uint64 = 10 * gib
		if strings.HasPrefix(profile, "3") {
			total = 40 * gib
		}
		inv.Devices[1].MIG = append(inv.Devices[1].MIG, MIG{
			Index: i, UUID: fmt.Sprintf("MIG-41c0%04x-1111-5222-9333-44445555666%d", i, i), Profile: profile, GI: 7 + i, CI: 0, Memory: Memory{Total: total, Free: total - uint64(i)*gib},
		})
	}
	return inv
}

// procfs is what is known without NVML.
func procfs() Inventory {
	inv := h100x8()
	inv.Source = "procfs"
	for i := range inv.Devices {
		d := &inv.Devices[i]
		d.CC, d.Memory, d.Links = CC{}, Memory{}, nil
	}
	return inv
}

// each changes devices by index.
func (inv Inventory) each(f func(d *Device), indices ...int) Inventory {
	devices := append([]Device(nil), inv.Devices...)
	for _, i := range indices {
		f(&devices[i])
	}
	inv.Devices = devices
	return inv
}

// heldBy makes a function for [SelectOptions.Held].
func heldBy(who map[string]string) func(string) (string, bool) {
	return func(id string) (string, bool) { by, ok := who[id]; return by, ok }
}

// indices is what was picked, as "0 3" or "1/2" for slice 2 of GPU 1.
func indices(picks []Pick) string {
	var out []string
	for _, p := range picks {
		s := fmt.Sprint(p.Device.Index)
		if p.MIG != nil {
			s += fmt.Sprint("/", p.MIG.Index)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}
