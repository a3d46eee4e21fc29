package driver

import (
	"fmt"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// Options steer Discover. The zero value looks in all usual places for compute and utility.
type Options struct {
	DriverRoot string            // a folder with a driver's files, looked at before all others; a path below Roots.FS
	Version    string            // of the kernel module; "" reads it
	Caps       []gpu.Capability  // what is wanted; nil is compute and utility
	Environ    map[string]string // the host's: CUDA_MPS_PIPE_DIRECTORY
}

// Set is a driver. Paths are as programs on this machine open them, below Roots.FS, links followed.
type Set struct {
	Version  string   `json:"version"` // of the module and of all versioned files; on WSL2 "" unless given
	WSL      bool     `json:"wsl,omitempty"`
	Dirs     []string `json:"dirs"`               // folders with libraries of this driver, best first; on WSL2 those to show whole
	Files    []File   `json:"files"`              // libraries, sorted by name; those of 32 bit last
	Programs []File   `json:"programs,omitempty"` //
	Data     []Data   `json:"data,omitempty"`     // for graphics
	Sockets  []Socket `json:"sockets,omitempty"`  //
	Notes    []string `json:"notes,omitempty"`    // what was left out, and why
}

// File is a library or a program.
type File struct {
	Path   string           `json:"path"`             // links followed
	Name   string           `json:"name"`             // of the file: "libcuda.so.580.95.05"
	SONAME string           `json:"soname,omitempty"` // "libcuda.so.1"; of programs ""
	Caps   []gpu.Capability `json:"caps"`             // it belongs to any of these
	Class  int              `json:"class"`            // 64 or 32
	Glibc  [3]int           `json:"glibc"`            // highest GLIBC_x.y.z that it asks for
	Interp string           `json:"interp,omitempty"` // the dynamic linker that a program names
	Size   int64            `json:"size"`             // bytes
	Mtime  int64            `json:"mtime"`            // nanoseconds since 1970
	Inode  uint64           `json:"inode"`
}

// Data is a file that is no code.
type Data struct {
	Path    string `json:"path"`
	Kind    string `json:"kind"`              // "vulkan", "vulkan-layer", "egl", "egl-platform", "optix"
	Name    string `json:"name"`              // of the file: "10_nvidia.json"
	Content []byte `json:"content,omitempty"` // of the JSON files, at most 64 KiB; nil for others
	Size    int64  `json:"size"`
}

// Socket is where a service of the driver listens: "persistenced", "fabricmanager", or "mps", which is a
// folder.
type Socket struct {
	Kind   string         `json:"kind"`
	Path   string         `json:"path"`
	Target string         `json:"target"` // where programs look for it; "" where an environment variable says so
	Cap    gpu.Capability `json:"cap"`
}

// MismatchError says that the libraries belong to another version than the loaded kernel module: a
// package was upgraded and the module was not reloaded.
type MismatchError struct {
	Module    string   // 580.95.05
	Libraries []string // versions that were found
	Dirs      []string // where
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the NVIDIA kernel module is %s and the driver's libraries are %s (in %s)", e.Module, strings.Join(e.Libraries, ", "), strings.Join(e.Dirs, ", "))
}

// Hint implements hint.Hinter.
func (e *MismatchError) Hint() string {
	return "the driver was upgraded under a running kernel module: reboot, or unload and load the nvidia modules; " +
		"if the libraries of " + e.Module + " lie in a folder of their own, name it: SANDBOX_DRIVER_ROOT=/that/folder"
}

// NotFoundError says that there is a kernel module and none of its libraries.
type NotFoundError struct {
	Version  string   // "" on WSL2
	File     string   // what was looked for
	Searched []string // folders that exist
	Notes    []string // why a file that is there does not do
}

func (e *NotFoundError) Error() string {
	where := "no folder for libraries exists"
	if len(e.Searched) > 0 {
		where = strings.Join(e.Searched, ", ")
	}
	if len(e.Notes) > 0 {
		where += " (" + strings.Join(e.Notes, "; ") + ")"
	}
	return fmt.Sprintf("the driver's library %s is not on this machine; looked in %s", e.File, where)
}

// Hint implements hint.Hinter.
func (e *NotFoundError) Hint() string {
	if e.Version == "" {
		return "install the Windows driver with WSL2 support and restart with: wsl --shutdown"
	}
	return "install the user-space part of driver " + e.Version + " (libcuda, libnvidia-ml), or name the folder that it lies in: SANDBOX_DRIVER_ROOT=/that/folder"
}

// NoModuleError says that no NVIDIA kernel module is loaded.
type NoModuleError struct{ Path string }

func (e *NoModuleError) Error() string {
	return "no NVIDIA kernel module is loaded: there is no " + e.Path
}

// Hint implements hint.Hinter.
func (e *NoModuleError) Hint() string {
	return "load it with: sudo modprobe nvidia; or, in a container, ask for the GPU when the container is started"
}
