package gputest

import (
	"fmt"
	"os"
	"strings"
)

// Majors that the kernel gave away at start; they differ from machine to machine.
const (
	majorUVM  = 510
	majorCaps = 237
	majorIMEX = 236
)

// onServer writes everything of a machine with the usual driver.
func (s *shape) onServer(tr *tree) {
	tr.folder("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "run", "tmp", "etc/ld.so.conf.d")
	tr.link("lib", "usr/lib")
	tr.link("lib64", "usr/lib64")
	tr.link("bin", "usr/bin")
	tr.file("etc/group", "root:x:0:\nvideo:x:44:\nusers:x:100:\n")
	s.deviceNodes(tr)
	s.procfs(tr)
	s.sysfs(tr)
	s.driverFiles(tr)
	tr.writeCache()
}

func (s *shape) deviceNodes(tr *tree) {
	tr.node("dev/nvidiactl", 195, 255)
	tr.node("dev/nvidia-modeset", 195, 254)
	tr.node("dev/nvidia-uvm", majorUVM, 0)
	tr.node("dev/nvidia-uvm-tools", majorUVM, 1)
	tr.node("dev/nvidia-caps/nvidia-cap1", majorCaps, 1)
	tr.node("dev/nvidia-caps/nvidia-cap2", majorCaps, 2)
	for _, d := range s.devices {
		tr.node(fmt.Sprintf("dev/nvidia%d", d.Minor), 195, d.Minor)
		for _, m := range d.MIG {
			gi, ci := migMinors(d.Minor, m.GI, m.CI)
			tr.node(fmt.Sprintf("dev/nvidia-caps/nvidia-cap%d", gi), majorCaps, gi)
			tr.node(fmt.Sprintf("dev/nvidia-caps/nvidia-cap%d", ci), majorCaps, ci)
		}
	}
	if len(s.devices) == 8 {
		tr.node("dev/nvidia-caps-imex-channels/channel0", majorIMEX, 0)
		for i := range 4 {
			tr.node(fmt.Sprintf("dev/nvidia-nvswitch%d", i), 235, i)
		}
		tr.node("dev/nvidia-nvswitchctl", 235, 255)
	}
}

// migMinors is the driver's numbering of capability nodes: 3 of the whole, then 135 per GPU, 9 per GPU
// instance.
func migMinors(minor, gi, ci int) (giNode, ciNode int) {
	giNode = 3 + minor*135 + gi*9
	return giNode, giNode + 1 + ci
}

func (s *shape) procfs(tr *tree) {
	version := "NVRM version: NVIDIA UNIX x86_64 Kernel Module  %s  Wed Jun  5 06:11:29 UTC 2024\nGCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n"
	if s.open {
		version = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  %s  Release Build  (dvs-builder@U22-I3-B17-02-5)  Tue Sep 23 09:55:41 UTC 2025\nGCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04.2)\n"
	}
	const dir = "proc/driver/nvidia/"
	tr.file(dir+"version", fmt.Sprintf(version, s.module))
	tr.file(dir+"params", "ResmanDebugLevel: 4294967295\nRmLogonRC: 1\nModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 0\nDeviceFileMode: 438\nInitializeSystemMemoryAllocations: 1\n")
	tr.file(dir+"registry", "Binary: \"\"\n")
	tr.file("proc/devices", fmt.Sprintf("Character devices:\n  1 mem\n195 nvidia\n195 nvidia-modeset\n195 nvidiactl\n235 nvidia-nvswitch\n%d nvidia-caps-imex-channels\n%d nvidia-caps\n%d nvidia-uvm\n\nBlock devices:\n  8 sd\n",
		majorIMEX, majorCaps, majorUVM))
	for _, d := range s.devices {
		tr.file(dir+"gpus/"+d.BDF+"/information", fmt.Sprintf("Model: \t\t %s\nIRQ:   \t\t 258\nGPU UUID: \t %s\nVideo BIOS: \t 96.00.61.00.01\nBus Type: \t PCIe\nDMA Size: \t 52 bits\nDMA Mask: \t 0xfffffffffffff\nBus Location: \t %s\nDevice Minor: \t %d\nGPU Firmware: \t %s\nGPU Excluded:\t No\n",
			d.Name, d.UUID, d.BDF, d.Minor, s.module))
		tr.file(dir+"gpus/"+d.BDF+"/registry", "Binary: \"\"\n")
		tr.file(dir+"gpus/"+d.BDF+"/power", "Runtime D3 status:          Disabled by default\nVideo Memory:               Active\n")
		for _, p := range d.Processes {
			tr.file(fmt.Sprintf("proc/%d/comm", p.PID), p.Name+"\n")
		}
	}
	s.capabilities(tr)
}

// capabilities are MIG's files: the numbers of the nodes, and one file per slice that shows its own.
func (s *shape) capabilities(tr *tree) {
	access := func(name string, minor int) {
		tr.file("proc/driver/nvidia/capabilities/"+name, fmt.Sprintf("DeviceFileMinor: %d\nDeviceFileMode: 292\nDeviceFileModify: 1\n", minor))
	}
	access("mig/config", 1)
	access("mig/monitor", 2)
	var minors strings.Builder
	minors.WriteString("config 1\nmonitor 2\n")
	for gpu := range 32 {
		for gi := range 15 {
			node, _ := migMinors(gpu, gi, 0)
			fmt.Fprintf(&minors, "gpu%d/gi%d/access %d\n", gpu, gi, node)
			for ci := range 8 {
				fmt.Fprintf(&minors, "gpu%d/gi%d/ci%d/access %d\n", gpu, gi, ci, node+1+ci)
			}
		}
	}
	tr.file("proc/driver/nvidia-caps/mig-minors", minors.String())
	for _, d := range s.devices {
		for _, m := range d.MIG {
			gi, ci := migMinors(d.Minor, m.GI, m.CI)
			access(fmt.Sprintf("gpu%d/mig/gi%d/access", d.Minor, m.GI), gi)
			access(fmt.Sprintf("gpu%d/mig/gi%d/ci%d/access", d.Minor, m.GI, m.CI), ci)
		}
	}
}

func (s *shape) sysfs(tr *tree) {
	tr.file("sys/module/nvidia/version", s.module+"\n")
	tr.file("sys/module/nvidia/initstate", "live\n")
	tr.file("sys/module/nvidia_uvm/initstate", "live\n")
	for _, d := range s.devices {
		dir := pciFolder(d.BDF)
		tr.file(dir+"/vendor", "0x10de\n")
		tr.file(dir+"/device", "0x2330\n")
		tr.file(dir+"/class", "0x030200\n")
		tr.file(dir+"/numa_node", fmt.Sprintf("%d\n", d.NUMA))
		tr.link("sys/bus/pci/devices/"+d.BDF, "../../../../"+dir)
	}
}

// pciFolder is where sysfs has a device of PCI.
func pciFolder(bdf string) string { return "sys/devices/pci" + bdf[:7] + "/" + bdf }

// remove takes away what onServer wrote.
func (tr *tree) remove(names ...string) {
	for _, n := range names {
		tr.check(os.RemoveAll(tr.path(n)))
	}
}

// deny makes nodes that the caller may not open. Root may open everything, so code that is to be refused
// has to run as somebody else.
func (tr *tree) deny(names ...string) {
	for _, n := range names {
		if tr.mode == NodesNull {
			tr.remove(n)
			tr.file(n, "")
		}
		mode := os.FileMode(0o660)
		if tr.mode == NodesNull {
			mode = 0
		}
		tr.check(os.Chmod(tr.path(n), mode))
		if tr.mode == NodesReal {
			tr.check(os.Chown(tr.path(n), 0, 44))
		}
	}
}
