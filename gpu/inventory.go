package gpu

import (
	"path/filepath"
	"strconv"
	"strings"
)

// Roots are the folders that facts are read from, replaceable for tests and for a driver that lies in a
// folder of its own.
type Roots struct {
	FS   string // "/": libraries and programs of the driver
	Dev  string // "/dev"
	Proc string // "/proc"
	Sys  string // "/sys"
}

// HostRoots are those of this machine.
func HostRoots() Roots { return Roots{FS: "/", Dev: "/dev", Proc: "/proc", Sys: "/sys"} }

// Below gives the same four folders below dir.
func Below(dir string) Roots {
	return Roots{FS: dir, Dev: filepath.Join(dir, "dev"), Proc: filepath.Join(dir, "proc"), Sys: filepath.Join(dir, "sys")}
}

// Inventory is what a machine has. The zero value is a machine without a GPU.
type Inventory struct {
	Source   string   `json:"source"`  // "nvml", "procfs" (no memory, no processes, no compute capability), "wsl", "none"
	Driver   string   `json:"driver"`  // version of the user-space driver that answered: "580.95.05"
	Module   string   `json:"module"`  // version of the loaded kernel module; "" where it cannot be read (WSL2)
	Open     bool     `json:"open"`    // the open flavour of the module
	CUDA     Version  `json:"cuda"`    // highest CUDA that the driver knows
	Devices  []Device `json:"devices"` // sorted by Index
	Warnings []string `json:"warnings,omitempty"`
}

// Device is one GPU.
type Device struct {
	Index  int    `json:"index"` // NVML's; changes with boots
	Minor  int    `json:"minor"` // of /dev/nvidiaN; -1 where there is none (WSL2)
	UUID   string `json:"uuid"`
	BDF    string `json:"bdf"` // PCI address as sysfs spells it: "0000:3b:00.0"
	Name   string `json:"name"`
	CC     CC     `json:"cc"` // compute capability; zero if not known
	Memory Memory `json:"memory"`
	NUMA   int    `json:"numa"` // node, -1 if not known

	Links       []int     `json:"links,omitempty"`        // Index of the GPUs reached by NVLink
	Processes   []Process `json:"processes,omitempty"`    // compute processes that the caller may see
	ComputeMode string    `json:"compute_mode,omitempty"` // "default", "exclusive-process", "prohibited"
	Persistence bool      `json:"persistence,omitempty"`
	ECC         bool      `json:"ecc,omitempty"`
	MIGMode     bool      `json:"mig_mode,omitempty"`
	MIG         []MIG     `json:"mig,omitempty"`
	Error       string    `json:"error,omitempty"` // it cannot be used, and why: "GPU is lost (NVML error 15)"
}

// ID is what the GPU is called in requests, limits and leases: its UUID, or its PCI address where the UUID
// cannot be read (a driver without NVML that was never used prints question marks).
func (d Device) ID() string {
	if d.UUID == "" || strings.Contains(d.UUID, "?") {
		return d.BDF
	}
	return d.UUID
}

// Memory is in bytes; Total is zero if it is not known.
type Memory struct {
	Total uint64 `json:"total"`
	Free  uint64 `json:"free"`
}

// Process is one program that computes on a GPU.
type Process struct {
	PID    int    `json:"pid"`
	Name   string `json:"name,omitempty"`
	Memory uint64 `json:"memory,omitempty"` // bytes
}

// MIG is one slice of a GPU.
type MIG struct {
	Index   int    `json:"index"` // in its GPU
	UUID    string `json:"uuid"`
	Profile string `json:"profile"` // "1g.10gb"
	GI      int    `json:"gi"`
	CI      int    `json:"ci"`
	Memory  Memory `json:"memory"`
	Busy    int    `json:"busy,omitempty"` // compute processes
}

// CC is a compute capability: {9, 0} is sm_90.
type CC [2]int

// String is "9.0".
func (c CC) String() string { return strconv.Itoa(c[0]) + "." + strconv.Itoa(c[1]) }

// Less orders capabilities.
func (c CC) Less(d CC) bool { return c[0] < d[0] || c[0] == d[0] && c[1] < d[1] }

// Version is a CUDA version: {12, 4}. The zero value is "not known".
type Version [2]int

// String is "12.4".
func (v Version) String() string { return strconv.Itoa(v[0]) + "." + strconv.Itoa(v[1]) }

// Less orders versions.
func (v Version) Less(w Version) bool { return v[0] < w[0] || v[0] == w[0] && v[1] < w[1] }

// Known tells whether the version is set.
func (v Version) Known() bool { return v != Version{} }

// Pick is a GPU, or a slice of one, that a request got.
type Pick struct {
	Device Device `json:"device"`
	MIG    *MIG   `json:"mig,omitempty"`
	Why    string `json:"why"` // "most free memory of the 3 that fit"
}

// ID is the UUID of what was picked; of a GPU without one, its PCI address.
func (p Pick) ID() string {
	if p.MIG != nil {
		return p.MIG.UUID
	}
	return p.Device.ID()
}
