package cdi

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// NameError is a name that no device can have.
type NameError struct{ Name, Why string }

func (e *NameError) Error() string { return fmt.Sprintf("not the name of a device: %s", e.Why) }

// Hint shows a good one.
func (e *NameError) Hint() string { return "--device VENDOR/CLASS=NAME, as in --device amd.com/gpu=0" }

// UnknownError is a device that no file describes.
type UnknownError struct {
	Name string
	Near string      // the most similar name there is, or ""
	Have []string    // what there is, sorted
	Bad  []*BadError // files that could not be used; the device may be in one of them
	Dirs []string    // where was looked
}

func (e *UnknownError) Error() string {
	s := "no such device: " + e.Name
	if len(e.Bad) > 0 {
		s = fmt.Sprintf("no such device in the files that can be used: %s", e.Name)
		for _, b := range e.Bad {
			s += "\n" + b.Error()
		}
	}
	return s
}

// Unwrap gives the files that could not be used.
func (e *UnknownError) Unwrap() []error {
	var out []error
	for _, b := range e.Bad {
		out = append(out, b)
	}
	return out
}

// Hint names what there is.
func (e *UnknownError) Hint() string {
	const most = 12
	if len(e.Have) > 0 {
		if len(e.Have) == 1 {
			return "there is " + e.Have[0]
		}
		s := "there are " + strings.Join(e.Have[:min(len(e.Have), most)], ", ")
		if more := len(e.Have) - most; more > 0 {
			s += fmt.Sprintf(" and %d more", more)
		}
		if e.Near != "" {
			s = "meant: " + e.Near + "? " + s
		}
		return s
	}
	vendor, class, _ := strings.Cut(kindOf(e.Name), "/")
	return fmt.Sprintf("no device is described in %s; the vendor's tool writes the file: %s",
		strings.Join(e.Dirs, ", "), regenerate(vendor, class, filepath.Join(e.Dirs[0], vendor+".json")))
}

// HookError is a device that wants a program of the host run.
type HookError struct {
	Device, Spec string
	Hook         string // when: "createRuntime"
	Program      string // path
	Args         []string
	Why          string
}

func (e *HookError) Error() string {
	verb := ""
	if len(e.Args) > 1 {
		verb = " " + strings.Join(e.Args[1:min(len(e.Args), 3)], " ")
	}
	return fmt.Sprintf("%s wants %s%s run as %s hook; %s: %s", e.Device, printable(e.Program), printable(verb), e.Hook, e.Why, e.Spec)
}

// Hint is the way without a hook.
func (e *HookError) Hint() string {
	if nvidia(kindOf(e.Device)) {
		return "--gpus gives NVIDIA GPUs without any hook"
	}
	return "a description of the same device without hooks, in a file of its own, can be used"
}

// StaleError is a description that names what this machine does not have: made before the driver was
// updated or the machine was started again.
type StaleError struct {
	Device, Spec string
	Path         string // of the host
	Why          string // "no such file", "it is device 226:1 here and 226:0 in the description"
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("%s needs %s: %s; the description is out of date: %s", e.Device, e.Path, e.Why, e.Spec)
}

// Hint is the command that writes the file again.
func (e *StaleError) Hint() string {
	vendor, class, _ := strings.Cut(kindOf(e.Device), "/")
	return regenerate(vendor, class, e.Spec)
}

// BadError is a file, or a device in it, that cannot be used.
type BadError struct {
	Spec   string // file or folder
	Device string // "" if it is about the whole file
	Why    string
	Err    error // what reading the file said, or nil
}

func (e *BadError) Unwrap() error { return e.Err }

// Hint is for the tools that write descriptions which only root can read, though they are no secret.
func (e *BadError) Hint() string {
	if errors.Is(e.Err, fs.ErrPermission) {
		return "sudo chmod a+r " + e.Spec
	}
	return ""
}

func (e *BadError) Error() string {
	if e.Device != "" {
		return fmt.Sprintf("%s: %s: %s", e.Spec, e.Device, e.Why)
	}
	return fmt.Sprintf("%s: %s", e.Spec, e.Why)
}

// regenerate is the command with which a vendor's tool writes a description.
func regenerate(vendor, class, file string) string {
	switch {
	case nvidia(vendor + "/"):
		return "sudo nvidia-ctk cdi generate --output=" + file
	case vendor == "amd.com":
		return "sudo amd-ctk cdi generate --output=" + file
	case vendor == "intel.com" && (class == "gpu" || class == "gaudi" || class == "npu"):
		return "sudo intel-cdi-specs-generator --cdi-dir=" + filepath.Dir(file) + " " + class
	}
	return "write " + file + " again with the tool of " + vendor
}

func kindOf(name string) string {
	kind, _, _ := strings.Cut(name, "=")
	return kind
}

// nvidia tells whether a kind is of NVIDIA: nvidia.com/gpu, management.nvidia.com/gpu.
func nvidia(kind string) bool {
	vendor, _, _ := strings.Cut(kind, "/")
	return vendor == "nvidia.com" || strings.HasSuffix(vendor, ".nvidia.com")
}
