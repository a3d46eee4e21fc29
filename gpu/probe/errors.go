package probe

import (
	"fmt"
	"io/fs"
	"strconv"
	"time"
)

// Codes of NVML that mean something of their own here.
const (
	codeNoLibrary = 12
	codeMismatch  = 18
)

const lostText = "GPU is lost (NVML error 15)"

// MismatchError: the driver was upgraded under a loaded module.
type MismatchError struct {
	Module  string // loaded in the kernel
	Library string // on disk; "" if it was not found
}

func (e *MismatchError) Error() string {
	lib := e.Library
	if lib == "" {
		lib = "of another version"
	}
	return fmt.Sprintf("NVIDIA driver does not fit together: kernel module %s, libraries %s", e.Module, lib)
}

// Hint says what to do.
func (e *MismatchError) Hint() string {
	return "the driver was upgraded while it was loaded: reboot, or reload modules: stop what uses the GPU, then sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia_uvm"
}

// PermissionError: a device node may not be opened.
type PermissionError struct {
	Path  string // "/dev/nvidiactl"
	Mode  fs.FileMode
	Group string // that owns it: a name, else a number
	// Cgroup: the mode allows it, so something around this process forbids it.
	Cgroup bool
}

func (e *PermissionError) Error() string {
	if e.Cgroup {
		return fmt.Sprintf("opening %s is forbidden although its mode %04o allows it", e.Path, e.Mode.Perm())
	}
	return fmt.Sprintf("no permission to open %s (mode %04o, group %s)", e.Path, e.Mode.Perm(), e.Group)
}

// Hint says what to do.
func (e *PermissionError) Hint() string {
	switch {
	case e.Cgroup:
		return "the device cgroup of the container, job or service around this process does not allow it: start that one with the GPU (docker run --gpus, sbatch --gres=gpu); after systemctl daemon-reload, start it anew"
	case e.Mode&0o060 == 0o060:
		return "join the group that may: sudo usermod -aG " + e.Group + " $USER, then log in again"
	}
	return "ask who runs this machine: the driver's options NVreg_DeviceFileMode and NVreg_DeviceFileGID decide who may open it"
}

// NoNodeError: the module is loaded, and its nodes are missing.
type NoNodeError struct{ Path string }

func (e *NoNodeError) Error() string {
	return "the NVIDIA kernel module is loaded, but " + e.Path + " is missing"
}

// Hint says what to do.
func (e *NoNodeError) Hint() string {
	return "sudo nvidia-modprobe -c=0 -u makes the nodes; in a container, start it with the GPU (docker run --gpus all)"
}

// NoUVMError: CUDA would fail with "unknown error", while nvidia-smi works.
type NoUVMError struct{ Path string }

func (e *NoUVMError) Error() string { return e.Path + " is missing: CUDA cannot start without it" }

// Hint says what to do.
func (e *NoUVMError) Hint() string {
	return "sudo nvidia-modprobe -u -c=0; to have it after each boot: echo nvidia-uvm | sudo tee /etc/modules-load.d/nvidia-uvm.conf"
}

// NVMLError is a refusal of NVML itself.
type NVMLError struct {
	Code int
	Text string
}

func (e *NVMLError) Error() string { return fmt.Sprintf("NVML: %s (error %d)", e.Text, e.Code) }

// Hint says what to do.
func (e *NVMLError) Hint() string {
	switch e.Code {
	case 4:
		return "the driver does not talk to this user here: ls -l /dev/nvidia* shows who may open its nodes; in a container or a job, start that one with the GPU (docker run --gpus, sbatch --gres=gpu)"
	case 9:
		return "the driver is not loaded: sudo modprobe nvidia; sudo dmesg | grep -i nvrm says why if that fails"
	case codeNoLibrary:
		return "the driver's libraries are not where they are looked for: install the driver's compute package, or say where the driver lies"
	}
	return "sudo dmesg | grep -i -e nvrm -e xid says what the driver ran into; a reboot helps if it hangs"
}

// TimeoutError: NVML gave no answer.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("NVML gave no answer within %s: memory and processes of the GPUs are not known", e.After)
}

// Hint says what to do.
func (e *TimeoutError) Hint() string {
	return "sudo dmesg | grep -i -e nvrm -e xid says whether a GPU hangs; if it is only slow, sudo nvidia-smi -pm 1 keeps it awake, and SANDBOX_GPU_TIMEOUT=30s waits longer"
}

// SymbolError: the driver's NVML lacks a function, and the dynamic linker ended the child.
type SymbolError struct{ Symbol string }

func (e *SymbolError) Error() string {
	return "the driver's NVML has no function " + e.Symbol + ": memory and processes of the GPUs are not known"
}

// HelperError: sandbox-gpu-probe could not do its work.
type HelperError struct {
	Path string
	Why  string
}

func (e *HelperError) Error() string {
	return e.Path + ": " + e.Why + ": memory and processes of the GPUs are not known"
}

// NoHelperError: sandbox-gpu-probe was not found.
type NoHelperError struct {
	WSL bool // Windows' GPUs are listed by nothing else
}

func (e *NoHelperError) Error() string {
	if e.WSL {
		return "sandbox-gpu-probe was not found, and nothing else lists the GPUs of WSL2"
	}
	return "sandbox-gpu-probe was not found: memory and processes of the GPUs are not known, and slices (MIG) cannot be used"
}

// Hint says what to do.
func (e *NoHelperError) Hint() string {
	return "install it beside sandbox (make install builds it where there is a C compiler), or set SANDBOX_GPU_PROBE to its path"
}

// LostError: a GPU fell off the bus. The others work.
type LostError struct {
	Index int
	BDF   string
}

func (e *LostError) Error() string {
	return "GPU " + strconv.Itoa(e.Index) + " (" + e.BDF + ") is lost: the driver cannot reach it any more"
}

// Hint says what to do.
func (e *LostError) Hint() string {
	return "reboot, or try sudo nvidia-smi --gpu-reset -i " + e.BDF + "; sudo dmesg | grep -i xid says what happened"
}

// NoDriverError: there is an NVIDIA GPU, and no driver for it.
type NoDriverError struct{ BDF string }

func (e *NoDriverError) Error() string {
	return "there is an NVIDIA GPU at " + e.BDF + ", but no driver is loaded"
}

// Hint says what to do.
func (e *NoDriverError) Hint() string {
	return "install NVIDIA's driver, or load it: sudo modprobe nvidia"
}

// SlicedError: a GPU is in MIG mode, and only NVML knows its slices.
type SlicedError struct {
	Index int
	BDF   string
}

func (e *SlicedError) Error() string {
	return "GPU " + strconv.Itoa(e.Index) + " (" + e.BDF + ") is divided into slices (MIG), which only NVML can list"
}
