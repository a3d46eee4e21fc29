package inject

import (
	"fmt"
)

// NodeError is a device node that a start needs and that cannot be used.
type NodeError struct {
	Path    string // of the host
	Problem string // "it does not exist"
	Missing bool   // making it may help: nvidia-modprobe does
	Help    string
}

func (e *NodeError) Error() string { return fmt.Sprintf("the device node %s: %s", e.Path, e.Problem) }

// Hint implements hint.Hinter.
func (e *NodeError) Hint() string { return e.Help }

// LibcError is an image whose C library cannot load the driver's files.
type LibcError struct {
	Libc string // "musl", "glibc"
	File string // that needs more
	Need [3]int // glibc
	Have [2]int // of the image
}

func (e *LibcError) Error() string {
	if e.Libc == "musl" {
		return "the image is built on musl, and the NVIDIA driver's libraries need glibc"
	}
	return fmt.Sprintf("the driver's %s needs glibc %s and the image has %d.%d", e.File, dotted(e.Need), e.Have[0], e.Have[1])
}

// Hint implements hint.Hinter.
func (e *LibcError) Hint() string {
	if e.Libc == "musl" {
		return "use an image with glibc (Debian, Ubuntu, Rocky); --force-gpu goes on for programs that bring their own glibc"
	}
	return "use a newer base image; --force-gpu goes on without this check"
}

// CompatError says why the image's cuda-compat cannot be used although it was asked for.
type CompatError struct{ Problem string }

func (e *CompatError) Error() string { return "--cuda-compat=on: " + e.Problem }

// Hint implements hint.Hinter.
func (e *CompatError) Hint() string {
	return "leave --cuda-compat at auto, or install the package cuda-compat in the image"
}

func dotted(v [3]int) string {
	if v[2] != 0 {
		return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2])
	}
	return fmt.Sprintf("%d.%d", v[0], v[1])
}
