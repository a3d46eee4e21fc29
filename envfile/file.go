package envfile

import "github.com/4cc2e759/sandbox/envfile/terms"

// File is a resolved env file: schema 1 with profiles and local additions merged in, defaults
// filled in, every value validated. docs/schema.md explains each key.
type File struct {
	Schema    int
	Requires  string   // lowest version of the tool, ">=1.2"
	Name      string   // "" where the file gives none; then the folder's name is used
	Platforms []string // "linux/amd64"

	Project   Project
	Image     Image
	Toolchain map[string]string // tool name -> version constraint, or "auto"
	Apt       Apt
	Python    Python
	Resolve   Resolve
	Steps     []Step
	Fetches   []Fetch
	Sources   Sources
	GPU       GPU
	Devices   Devices
	Env       Env
	Secrets   map[string]Secret
	Mounts    map[string]Mount
	Network   Network
	Needs     Needs
	Limits    Limits
	Isolation Isolation
	Tasks     map[string]Task
	Services  map[string]Service
	Record    Record
	Submit    map[string]any // engine name -> its own terms
	X         map[string]any // left to other tools

	Bind Bind // only ever from sandbox.local.toml, the command line or the user's configuration

	Profiles     []string // the profiles that were applied, in order
	LockProfiles []string // those of them that change a key marked L: the lock has a section for them
	LockOwn      bool     // sandbox.local.toml or the command line changes a key marked L
	lockConfig   *Config  // see ConfigOf

	tree *keyNode // the merged values with their places; nil for a File made by hand
}

// Project says where the project folder is mounted, and which folder that is.
type Project struct {
	At   string // absolute path inside, or "same"; default /workspace
	Root string // relative to the env file; default "."
}

// Image is the base the environment starts from.
type Image struct {
	Base       string // one of the base forms, see [ParseBase]
	User       string // "image", "root", "me", a name or a number
	IDs        string // "single" or "subuid"
	Mirror     string // of a deb: base
	Keyring    string // of a deb: base; a file
	Dockerfile string
	Args       map[string]string
	Target     string
}

// Apt is what Debian or Ubuntu packages are added to the base.
type Apt struct {
	Packages   []string // name or name=version
	Recommends bool
	Sources    []AptSource
}

// AptSource is one archive beside those of the base.
type AptSource struct {
	URL        string
	Suite      string
	Components []string
	Key        string // a file of the project
}

// Python is what Python packages are installed.
type Python struct {
	Packages     []string
	Requirements []string // files
	Project      string   // a folder with pyproject.toml, or a file: uv.lock, pylock.toml, pyproject.toml
	Extras       []string
	Groups       []string
	Constraints  []string // files
	Into         string   // "env" or "base"
	Sdist        SdistPolicy
	Indexes      []PythonIndex
	Build        map[string]PythonBuild
}

// SdistPolicy says which source distributions may be built: none (the default), all, or some.
type SdistPolicy struct {
	Allow bool     // "allow"
	Names []string // a list of names
}

// PythonIndex is one package index beside or instead of the default one.
type PythonIndex struct {
	Name string
	URL  string
	Only []string // the packages it serves; empty means any
}

// PythonBuild is how one source distribution is built.
type PythonBuild struct {
	With         []string
	Toolchain    map[string]string
	Env          map[string]string
	Compute      []string
	Requires     []string
	MemoryPerJob Size
}

// Resolve says how far into the past names are resolved.
type Resolve struct {
	AsOf string // "2024-09-01" or an RFC 3339 time; "" means now
}

// Step is one command of the user's at build time.
type Step = terms.Step

// Fetch is one file by hash, mounted read-only.
type Fetch struct {
	URL    string
	SHA256 string
	To     string
	Unpack bool
	Mode   uint32 // permission bits; 0 means 0644
}

// Sources says where copies of everything in the lock lie.
type Sources struct{ Vendor []string }

// GPU is what the code wants of the machine's GPUs.
type GPU = terms.GPU

// Devices are other devices.
type Devices struct {
	CDI        []string
	InfiniBand string
}

// Env is the environment of the processes.
type Env = terms.Env

// Secret is a value that is named here and bound on the machine only.
type Secret struct {
	Scope    string // "run" or "build"
	As       string // "env" (the default), or a path for a file
	Optional bool
	About    string
}

// Mount is one folder or file beside the project.
type Mount = terms.Mount

// Network is what the processes can reach.
type Network = terms.Network

// Needs is what the machine must have; it is refused early where it has not.
type Needs = terms.Needs

// Limits are caps.
type Limits = terms.Limits

// Isolation loosens the sandbox.
type Isolation struct{ Allow []string }

// Command is either a shell line or an argument list. Exactly one is set.
type Command = terms.Command

// Task is a named command. A table that it has is the file's with its own keys merged over it; one
// that it does not have is nil, and the file's holds.
type Task = terms.Task

// Service is a named long-running command, with what else it needs.
type Service struct {
	Task
	Image   string
	Volumes map[string]string
	Publish []string
	Ready   map[string]any
	Restart string
}

// Record says where run records go.
type Record struct{ To string }

// Bind gives the values of what a committed file only declares.
type Bind struct {
	Mounts  map[string]string
	Secrets map[string]SecretValue
}

// SecretValue is where a secret's value comes from. Exactly one is set.
type SecretValue struct {
	Env     string
	File    string
	Command []string
}

// Size is a number of bytes, written as "16GiB" or "500MB".
type Size = terms.Size
