package inject

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// Where things are inside.
const (
	Dir   = "/run/sandbox/gpu"
	Lib64 = Dir + "/lib64"
	Lib32 = Dir + "/lib32"
	Bin   = Dir + "/bin"
	MPS   = Dir + "/mps"
)

// Injection is what a start has to do, in this order: Tmpfs, Files, Nodes, Binds, Links, Masks; at the
// end the Tmpfs with ReadOnly are made so. Targets are absolute paths inside; missing folders, and the
// file or folder that something is bound onto, are made where they lie below Dir or a Tmpfs, and are
// mount points that the image may lack elsewhere.
type Injection struct {
	Tmpfs []Tmpfs `json:"tmpfs,omitempty"`
	Files []File  `json:"files,omitempty"`
	Nodes []Node  `json:"nodes"`
	Binds []Bind  `json:"binds"`
	Links []Link  `json:"links"`
	Masks []Mask  `json:"masks,omitempty"`

	// Lower is a read-only layer that belongs on top of the image's: path without a leading slash →
	// content. It depends on the image and on names of the driver's files, some of which have its version,
	// and is to be kept under the hash of its content, LowerKey. Nil if the image cannot have one.
	Lower map[string][]byte `json:"-"`

	Env        map[string]string `json:"env"`             // set after the image's and before the user's own
	Unset      []string          `json:"unset,omitempty"` // variables that must not be there
	PathAppend []string          `json:"path_append,omitempty"`

	Memlock  bool     `json:"memlock,omitempty"` // raise the soft limit of locked memory to the hard one
	CacheKey string   `json:"cache_key"`         // names a folder for compiled kernels (CUDA_CACHE_PATH): driver and environment
	Notes    []string `json:"notes,omitempty"`   // what the user should know
	Record   Record   `json:"record"`
}

// LowerKey is the hash of Lower, 64 hex digits, by which the layer is kept; "" without one.
func (i *Injection) LowerKey() string {
	if i.Lower == nil {
		return ""
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(i.Lower)) {
		fmt.Fprintf(h, "%d %s %d ", len(name), name, len(i.Lower[name]))
		h.Write(i.Lower[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Tmpfs is an empty file system to be filled by what follows.
type Tmpfs struct {
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only,omitempty"` // when everything is in it
	Why      string `json:"why"`
}

// File is a small file with its content.
type File struct {
	Target  string `json:"target"`
	Content []byte `json:"content"`
	Mode    uint32 `json:"mode"`
	Why     string `json:"why"`
}

// Node is a character device of the host.
type Node struct {
	Source string `json:"source"`
	Target string `json:"target"`
	Why    string `json:"why"`
}

// Bind is a file, socket or folder of the host.
type Bind struct {
	Source   string   `json:"source"`
	Target   string   `json:"target"`
	Folder   bool     `json:"folder,omitempty"`
	Flags    []string `json:"flags"` // of ro, nosuid, nodev, noexec
	Optional bool     `json:"optional,omitempty"`
	Why      string   `json:"why"`
}

// Link is a symbolic link at Target.
type Link struct {
	Target string `json:"target"`
	To     string `json:"to"`
	Why    string `json:"why"`
}

// Mask hides a folder of the image.
type Mask struct {
	Target string `json:"target"`
	Why    string `json:"why"`
}

func (i *Injection) note(s string) { i.Notes = append(i.Notes, s) }

func (i *Injection) bind(source, target, why string) {
	i.Binds = append(i.Binds, Bind{Source: source, Target: target, Flags: []string{"ro", "nosuid", "nodev"}, Why: why})
}

func (i *Injection) link(target, to, why string) {
	for _, l := range i.Links {
		if l.Target == target {
			return
		}
	}
	i.Links = append(i.Links, Link{target, to, why})
}
