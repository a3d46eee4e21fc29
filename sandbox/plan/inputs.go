package plan

import (
	"github.com/4cc2e759/sandbox/envfile/terms"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// Inputs is everything a plan is made from.
type Inputs struct {
	Env     Env
	Host    Host
	Project *Project // nil: no project is mounted (run --image)
	Sandbox Sandbox
	Args    []string // the program and its arguments
	Workdir string   // inside; "" is where the user stands in the project, else the image's
	Extra   Extra
	GPU     *GPU // nil: no GPU and no other device is given
}

// GPU is what the chosen GPUs and devices add to a start. It is made anew each time: a driver may
// change between two starts.
type GPU struct {
	Ops     []spec.Op         // after those of /dev and [Run], before the project's
	Lower   string            // layer above the image's with the list of libraries for the loader, "" for none
	Env     map[string]string // over everything but what the env file and the command line set
	Force   map[string]string // over these too: lists that were corrected, not replaced
	Unset   []string          // variables of the image and the host that would mislead
	Drop    []string          // variables that mislead whoever set them, the user too
	Path    []string          // folders at the end of PATH
	Memlock bool              // the limit of locked memory is raised as far as it goes
}

// Env is a built environment with the settings of its env file: it holds no fact of the host but
// the paths of layers in the store, and is kept between starts.
type Env struct {
	Name       string                 `json:"name"`   // host name and prompt
	Digest     string                 `json:"digest"` // of the environment
	Lowers     []spec.Lower           `json:"lowers"` // bottom first; without the stubs
	User       User                   `json:"user"`
	ImageEnv   []string               `json:"image_env,omitempty"`
	WorkingDir string                 `json:"working_dir,omitempty"` // the image's
	At         string                 `json:"at,omitempty"`          // where the project goes, or "same"
	Set        map[string]string      `json:"set,omitempty"`
	Pass       []string               `json:"pass,omitempty"`
	Mounts     map[string]terms.Mount `json:"mounts,omitempty"`
	Fetches    []Fetched              `json:"fetches,omitempty"`
	Network    string                 `json:"network"` // "host" or "none"
	Shm        int64                  `json:"shm,omitempty"`
	Ptrace     bool                   `json:"ptrace,omitempty"`
	PythonEnv  bool                   `json:"python_env,omitempty"`  // /opt/env is there
	Apt        bool                   `json:"apt,omitempty"`         // apt is there
	AptSources bool                   `json:"apt_sources,omitempty"` // the base has none of its own: the host's are lent
	Sources    map[string]string      `json:"sources,omitempty"`     // key -> place in the env file, for reasons: "mounts.data" -> "sandbox.toml:12"
}

// User is who the program is inside.
type User struct {
	UID   int    `json:"uid"`
	GID   int    `json:"gid"`
	Name  string `json:"name"`
	Home  string `json:"home"`
	Shell string `json:"shell,omitempty"`
}

// Fetched is a [[fetch]] that lies in the store.
type Fetched struct {
	Source string `json:"source"`
	To     string `json:"to"`
}

// Host is what this machine and this caller add.
type Host struct {
	UID, GID   int
	Environ    map[string]string // the caller's environment; only what is allowed to pass is taken
	ResolvConf string            // path of the host's resolv.conf with links resolved, "" if there is none
	Hosts      string            // content of the host's /etc/hosts
	CABundle   string            // path of the host's CA certificates, "" if there are none
	AptList    string            // sources.list lines for a base without sources
	AptKeyring string            // path of the keyring that signs them
	Terminal   bool              // the program gets a terminal
}

// Project is the project folder on the host.
type Project struct {
	Dir      string // what is mounted: [project] root
	Rel      string // where the caller stands, relative to Dir; "." at its top
	OwnerUID int
	OwnerGID int
	Store    string // path of the store relative to Dir if it lies below, else ""
	ReadOnly bool
	Stranger bool // somebody else's code: what git of the host would run is not for it to write
}

// Sandbox is the writable part and its name.
type Sandbox struct {
	Name     string // "" for a throw-away sandbox
	Upper    string // host path; "" is a tmpfs
	Work     string
	Tmp      string // host folder for /tmp; "" is a tmpfs
	Volatile bool
	Cache    string    // host folder for ~/.cache; "" is none
	Root     string    // host folder that is the root itself, instead of layers (--in-place)
	Bound    []spec.Op // what is bound into Root before anything else
	Stubs    string    // host folder of mount-point stubs, the lowest layer; "" while they are being planned
}

// Extra is what the command line adds.
type Extra struct {
	Env    map[string]string      // --env
	Mounts map[string]terms.Mount // --mount; Kind host or tmpfs
	Bind   map[string]string      // values of declared mounts: name -> host path
	Caches map[string]string      // values of cache and volume mounts: name -> host path
}
