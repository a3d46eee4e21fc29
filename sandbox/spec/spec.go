// Package spec is the plan of one start as plain data: what package plan makes, what
// `sandbox plan` prints and what package start executes. It imports nothing but the standard library.
//
// A Spec holds no open files and no secrets' values are printed: [Process.Env] entries named in
// Process.Secret are left out of JSON.
package spec

// Version of the data; a cached plan of another version is not used.
const Version = 1

// Spec is one start. It is complete: the child does what it says, in order, and nothing else.
type Spec struct {
	Version  int         `json:"version"`
	Hostname string      `json:"hostname,omitempty"`
	IDs      IDs         `json:"ids"`
	Unshare  []Namespace `json:"unshare"` // user and mount are always among them
	Root     Root        `json:"root"`
	Ops      []Op        `json:"ops"`     // done on the new root, in order
	Seccomp  []string    `json:"seccomp"` // named filters: "container" (the usual denials), "root" (root emulation), "nosync" (with both, for builds: syncs succeed without effect), "owners" (with both, and an Upper: what chown asks for is remembered, see package owner)
	Process  Process     `json:"process"`
}

// Namespace is the name of a kernel namespace: user, mount, pid, ipc, uts, net, cgroup.
type Namespace string

// IDs is who the process is inside, and how that maps to the host.
// UID and GID are the only mapped ids unless Owner is set: then host root maps to 0 and the owner of
// the project to itself, and the parent, being root, writes the map.
type IDs struct {
	UID   int  `json:"uid"` // inside
	GID   int  `json:"gid"`
	Owner *Own `json:"owner,omitempty"`
}

// Own is one uid and gid mapped to themselves.
type Own struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
}

// Root is the root file system: an overlay of Lowers (bottom first) with a writable Upper, or, when
// Bind is set, that folder itself (used to assemble a base).
type Root struct {
	Lowers   []Lower `json:"lowers,omitempty"`
	Upper    string  `json:"upper,omitempty"` // host path; empty with no Bind: a tmpfs, thrown away
	Work     string  `json:"work,omitempty"`
	Volatile bool    `json:"volatile,omitempty"` // upper is thrown away after: skip syncs
	Bind     string  `json:"bind,omitempty"`
}

// Lower is one read-only layer.
type Lower struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// Kind is what an Op does.
type Kind string

// The kinds of operation. Targets are resolved inside the new root (openat2, RESOLVE_IN_ROOT) and
// must exist unless the comment says otherwise.
const (
	Bind    Kind = "bind"    // Source (host path; with flag "inside" a path in the new root) onto Target, recursive; Flags: inside ro nosuid nodev noexec nosymfollow; Data: a host folder that Source lies in and that no link may lead it out of
	Device  Kind = "device"  // host device node Source onto Target (made as an empty file); checked to be a device
	Tmpfs   Kind = "tmpfs"   // Data: mount options (size=, mode=)
	Proc    Kind = "proc"    // fresh, else the ladder for masked /proc
	Sysfs   Kind = "sysfs"   // fresh with an own net namespace, else the host's, read-only
	Devpts  Kind = "devpts"  // own instance
	Mqueue  Kind = "mqueue"  //
	Dir     Kind = "dir"     // make Target (and parents) with Mode; fine if it exists
	File    Kind = "file"    // make Target with Content and Mode below a tmpfs of ours; elsewhere it is empty, and fine if it exists
	Symlink Kind = "symlink" // make Target pointing at Source; only below a tmpfs of ours
	Lock    Kind = "lock"    // make the existing Target read-only (bound onto itself); fine if missing
	Mask    Kind = "mask"    // hide Target: an empty read-only tmpfs over a folder, /dev/null over a file; fine if missing
	Loopup  Kind = "loopup"  // bring lo up in an own net namespace
)

// Op is one operation.
type Op struct {
	Kind     Kind     `json:"kind"`
	Source   string   `json:"source,omitempty"`
	Target   string   `json:"target,omitempty"` // absolute, clean
	Flags    []string `json:"flags,omitempty"`
	Data     string   `json:"data,omitempty"`
	Content  string   `json:"content,omitempty"`
	Mode     uint32   `json:"mode,omitempty"`
	Optional bool     `json:"optional,omitempty"` // a source that is missing on the host is not an error
	Why      string   `json:"why"`                // "sandbox.toml: mounts.data", "every sandbox has its own /tmp"
}

// Process is the program to run.
type Process struct {
	Args   []string `json:"args"` // Args[0] is looked up in the PATH of Env, inside
	Env    []string `json:"env"`  // NAME=value, the whole environment
	Secret []string `json:"secret,omitempty"`
	Dir    string   `json:"dir"`
	Umask  uint32   `json:"umask"` // 0 means 022
	Caps   []string `json:"caps"`  // kept capabilities, "CAP_CHOWN"; all others are dropped from the bounding set
	Rlimit []Rlimit `json:"rlimit,omitempty"`
}

// Rlimit is one resource limit to set: "memlock", "nofile", "core", …
type Rlimit struct {
	Name string `json:"name"`
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}
