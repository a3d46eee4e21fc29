package gpu

import "time"

// Capability is a part of the driver: compute, utility, video, graphics, display, ngx, compat32.
type Capability string

// Request is what is wanted. The zero value wants nothing.
type Request struct {
	Count    int           // how many; 0 with All or IDs
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
	Wait     time.Duration // how long to wait for a free one
	Caps     []Capability  // nil: compute and utility
	Optional bool          // none is fine
	Source   string        // where it is written, for messages: "--gpus", "sandbox.toml: gpu", "NVIDIA_VISIBLE_DEVICES of the image"
}
