// Package terms holds the parts of an env file that a start of what is built needs, as plain data
// without a parser: package envfile has them under the same names. Use [Task] first, and
// [Command.Argv] for what it executes.
//
// It is apart from envfile for what that links: a parser is paid for at every start.
package terms

// GPU is what the code wants of the machine's GPUs.
type GPU struct {
	Need        string // "none", "optional", "required"
	Count       int
	MinMemory   Size
	TotalMemory Size
	Compute     string
	Name        string
	MIG         string
	Share       bool
	Wait        string
	Caps        []string
}

// Mount is one folder or file beside the project.
type Mount struct {
	To       string
	Kind     string // "project", "cache", "volume", "tmpfs", "host"
	From     string // kind project: a path of the project
	Mode     string // "rw" or "ro"
	Scope    string // kind cache: "user" or "project"
	Optional bool
	About    string
	Size     Size // kind tmpfs
}

// Env is the environment of the processes.
type Env struct {
	Set  map[string]string
	Pass []string // names taken from the host's environment
}

// Network is what the processes can reach.
type Network struct {
	Mode    string   // "host", "none", "private"
	Allow   []string // of mode private: nil is everything, an empty list nothing
	Publish []string
}

// Needs is what the machine must have; it is refused early where it has not.
type Needs struct {
	Memory Size
	CPUs   float64
	Disk   Size
}

// Limits are caps.
type Limits struct {
	Memory Size
	CPUs   float64
	Pids   int
	Time   string // a Go duration
	Shm    Size
	Disk   Size
}

// Command is either a shell line or an argument list. Exactly one is set.
type Command struct {
	Shell string   // run as: sh -c 'SHELL "$@"' NAME ARGS
	Args  []string // run as it stands, with ARGS appended
}

// Task is a named command. A table that it has is the file's with its own keys merged over it; one
// that it does not have is nil, and the file's holds.
type Task struct {
	Run     Command
	About   string
	GPU     *GPU
	Limits  *Limits
	Needs   *Needs
	Env     *Env
	Mounts  map[string]Mount
	Network *Network
	Workdir string
	User    string
	Secrets []string
	Inputs  []string
	Outputs []string
	Depends []string
}

// Step is one command of the user's at build time.
type Step struct {
	Run     Command
	Where   string // "image" or "project"
	Inputs  []string
	Outputs []string
	Workdir string
	Env     map[string]string
	Network bool
	Secrets []string
	After   []string
}
