package probe

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// Present tells whether the machine can have a GPU that works: a node or a module is there.
func Present(r gpu.Roots) bool {
	for _, p := range []string{filepath.Join(r.Dev, "nvidiactl"), filepath.Join(r.Dev, "dxg"), filepath.Join(r.Proc, "driver/nvidia/version")} {
		if _, err := os.Stat(p); err == nil {
			return true
		}
	}
	return false
}

// isWSL: Windows' own node, and none of the Linux driver.
func isWSL(r gpu.Roots) bool {
	_, dxg := os.Stat(filepath.Join(r.Dev, "dxg"))
	_, ctl := os.Stat(filepath.Join(r.Dev, "nvidiactl"))
	return dxg == nil && ctl != nil
}

// read returns the beginning of a small file, "" if it cannot be read. Files of procfs have no size, so
// the bound is on what is read.
func read(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 16<<10))
	return string(b)
}

var (
	versionForm = lazyregexp.New(`^[0-9]{2,4}(\.[0-9]{1,4}){1,3}$`)
	bdfForm     = lazyregexp.New(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)
	uuidForm    = lazyregexp.New(`^GPU-[0-9A-Za-z-]{1,64}$`)
)

// Module is the version of the loaded kernel module, "" if there is none or it cannot be read, and whether
// it is the open flavour. The first line of procfs's file is one of
//
//	NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  Fri May 31 09:35:42 UTC 2024
//	NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (…)
func Module(r gpu.Roots) (version string, open bool) {
	first, _, _ := strings.Cut(read(filepath.Join(r.Proc, "driver/nvidia/version")), "\n")
	if rest, ok := strings.CutPrefix(first, "NVRM version:"); ok {
		for _, word := range strings.Fields(rest) {
			if versionForm.MatchString(word) {
				return word, strings.Contains(rest, "Open Kernel Module")
			}
		}
	}
	if v := strings.TrimSpace(read(filepath.Join(r.Sys, "module/nvidia/version"))); versionForm.MatchString(v) {
		license := read(filepath.Join(r.Sys, "module/nvidia/license")) // not there on most kernels
		return v, strings.Contains(license, "GPL")
	}
	return "", false
}

// fromProcfs lists whole GPUs in the order of their PCI addresses, which is also NVML's.
func fromProcfs(r gpu.Roots) []gpu.Device {
	dir := filepath.Join(r.Proc, "driver/nvidia/gpus")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []gpu.Device
	for _, e := range entries {
		d, ok := information(read(filepath.Join(dir, e.Name(), "information")))
		if name := strings.ToLower(e.Name()); d.BDF == "" && bdfForm.MatchString(name) {
			d.BDF = name
		}
		if ok && d.BDF != "" && len(out) < maxDevices {
			out = append(out, d)
		}
	}
	sort.Slice(out, func(i, j int) bool { return before(out[i].BDF, out[j].BDF) })
	for i := range out {
		out[i].Index = i
	}
	return out
}

// before compares PCI addresses; a longer domain is a higher one.
func before(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// information reads procfs's description of a GPU. A GPU that nobody has opened yet shows question marks
// in place of its UUID.
func information(text string) (gpu.Device, bool) {
	d := gpu.Device{Minor: -1, NUMA: -1}
	found := false
	for s := bufio.NewScanner(bytes.NewReader([]byte(text))); s.Scan(); {
		key, value, ok := strings.Cut(s.Text(), ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "Model":
			d.Name, found = clean(value, maxName), true
		case "GPU UUID":
			if uuidForm.MatchString(value) {
				d.UUID = value
			}
		case "Bus Location":
			if v := strings.ToLower(value); bdfForm.MatchString(v) {
				d.BDF = v
			}
		case "Device Minor":
			if n, err := strconv.Atoi(value); err == nil && n >= 0 && n <= maxMinor {
				d.Minor = n
			}
		case "GPU Excluded":
			if value == "Yes" {
				return d, false
			}
		}
	}
	return d, found
}

// numa is the memory node that a PCI device hangs on, -1 if there is none or nobody knows.
func numa(r gpu.Roots, bdf string) int {
	if !bdfForm.MatchString(bdf) {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(read(filepath.Join(r.Sys, "bus/pci/devices", bdf, "numa_node"))))
	if err != nil || n < 0 || n > 1<<16 {
		return -1
	}
	return n
}

// comm is the name of a process, "" if it cannot be seen.
func comm(r gpu.Roots, pid int) string {
	if pid <= 0 {
		return ""
	}
	return clean(strings.TrimSuffix(read(filepath.Join(r.Proc, strconv.Itoa(pid), "comm")), "\n"), maxName)
}

// sliced tells whether the GPU has MIG instances.
func sliced(r gpu.Roots, minor int) bool {
	if minor < 0 {
		return false
	}
	entries, _ := os.ReadDir(filepath.Join(r.Proc, "driver/nvidia/capabilities", "gpu"+strconv.Itoa(minor), "mig"))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "gi") {
			return true
		}
	}
	return false
}

// hardware lists the PCI addresses of NVIDIA's display controllers, driver or not.
func hardware(r gpu.Roots) []string {
	dir := filepath.Join(r.Sys, "bus/pci/devices")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		is := func(file, prefix string) bool {
			return strings.HasPrefix(strings.TrimSpace(read(filepath.Join(dir, e.Name(), file))), prefix)
		}
		// Class 03 is a display controller; 0x0300 has a screen, 0x0302 has none.
		if bdfForm.MatchString(e.Name()) && is("vendor", "0x10de") && is("class", "0x03") && len(out) < maxDevices {
			out = append(out, e.Name())
		}
	}
	return out
}
