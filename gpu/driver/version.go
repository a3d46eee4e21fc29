package driver

import (
	"path"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// ModuleVersion is the version of the loaded kernel module, read without NVML: "580.95.05". It is "" if
// there is none, as on WSL2.
func ModuleVersion(roots gpu.Roots) string {
	b, _ := readSmall(path.Join(roots.Proc, "driver/nvidia/version"))
	for line := range strings.SplitSeq(string(b), "\n") {
		// NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (…)
		if !strings.Contains(line, "NVRM version") {
			continue
		}
		for _, f := range strings.Fields(line) {
			if IsVersion(f) {
				return f
			}
		}
	}
	// Some containers hide /proc/driver.
	b, _ = readSmall(path.Join(roots.Sys, "module/nvidia/version"))
	if v := strings.TrimSpace(string(b)); IsVersion(v) {
		return v
	}
	return ""
}

// IsVersion tells whether s is a driver's version: two or three numbers, the first at least 100.
func IsVersion(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 || len(s) > 20 {
		return false
	}
	for _, p := range parts {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return Major(s) >= 100
}

// Major is the branch of a version: 580 of "580.95.05"; 0 if there is none.
func Major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}

// cutVersion splits "libcuda.so.580.95.05" into "libcuda" and "580.95.05".
func cutVersion(name string) (base, version string, ok bool) {
	base, version, ok = strings.Cut(name, ".so.")
	return base, version, ok && IsVersion(version)
}
