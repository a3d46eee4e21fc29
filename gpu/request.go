package gpu

import (
	"slices"
	"time"
)

// Capability is a part of the driver.
type Capability string

// The parts, named as NVIDIA_DRIVER_CAPABILITIES names them.
const (
	Compute  Capability = "compute"
	Utility  Capability = "utility"
	Video    Capability = "video"
	Graphics Capability = "graphics"
	Display  Capability = "display"
	NGX      Capability = "ngx"
	Compat32 Capability = "compat32"
)

// Capabilities lists all parts, in the order in which they are written.
func Capabilities() []Capability {
	return []Capability{Compute, Utility, Video, Graphics, Display, NGX, Compat32}
}

// Request is what is wanted. The zero value wants nothing.
type Request struct {
	Count    int           // how many; 0 with All, None or IDs
	All      bool          //
	None     bool          // asked for explicitly: nothing, also where the env file wants some
	IDs      []string      // UUID prefixes ("GPU-8f3a", "MIG-…"), PCI addresses, "index=N"
	MinFree  uint64        // bytes, of each
	MinTotal uint64        // bytes, of each
	Name     string        // part of the model's name, case ignored
	CC       string        // range: ">=8.0,<10.0"; "8.0" alone is >=8.0
	MIG      string        // profile
	SameNUMA bool          //
	Share    bool          // others may use it at the same time
	Alone    bool          // share=no was said: nobody else may, also where the env file shares
	Wait     time.Duration // how long to wait for a free one
	Caps     []Capability  // nil: compute and utility; "all": each of them
	Optional bool          // none is fine; [Request.Select] still says why there is none
	Source   string        // where it is written, for messages: "--gpus", "sandbox.toml: gpu", "NVIDIA_VISIBLE_DEVICES of the image"
}

// Wants tells whether any GPU is wanted.
func (r Request) Wants() bool { return !r.None && (r.All || r.Count > 0 || len(r.IDs) > 0) }

// Capabilities are the parts of the driver that the request stands for, in the order in which they are
// written: defaults and "all" are resolved, unknown names are left out.
func (r Request) Capabilities() []Capability {
	if r.Caps == nil {
		return []Capability{Compute, Utility}
	}
	var out []Capability
	for _, c := range Capabilities() {
		if slices.Contains(r.Caps, c) || slices.Contains(r.Caps, "all") {
			out = append(out, c)
		}
	}
	return out
}
