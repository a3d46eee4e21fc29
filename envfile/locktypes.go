package envfile

// LockVersion is the version of the lock's format that this package writes; LayerFormat is the
// version of how built layers are made. A change of either makes existing locks stale.
const (
	LockVersion = 1
	LayerFormat = 1
)

// Lock is sandbox.lock: everything an environment is made of, by hash.
type Lock struct {
	Version     int
	Tool        string // lowest version of the tool that can read it
	LayerFormat int
	Epoch       int64    // seconds since 1970: the time of every entry in built layers
	AsOfKept    []string // which sources could be held to [resolve] as-of
	Sections    map[string]*Section
}

// Section is one platform's part of a lock, or one platform's under one set of profiles.
// Its name is "linux-amd64", or "linux-amd64+PROFILE+PROFILE" where profiles change a locked key.
type Section struct {
	Inputs       map[string]string // normalised values and sha256 of files: "apt.packages" -> "git,hello", "file:requirements.txt" -> "sha256:…"
	Config       Config
	Image        ImagePin
	Toolchain    map[string]ToolPin
	Debs         []DebPin
	Wheels       []WheelPin
	Interpreters []FilePin
	Fetches      []FetchPin
	Steps        []StepPin
	Built        map[string]BuiltLayer // layer key -> what it came out as; a check, not identity
}

// Config is what an exported image's configuration is made from.
type Config struct {
	Name      string // only if the env file gives one
	ProjectAt string
	User      string
	Env       map[string]string
	Publish   []string
	Cmd       []string
}

// ImagePin is a base image by digest. A deb: base has only Ref.
type ImagePin struct {
	Ref      string // as written
	Index    string // digest of the index, if the reference led to one
	Manifest string
	Layers   []LayerPin
}

// LayerPin is one layer of a base image.
type LayerPin struct {
	Digest    string
	DiffID    string
	Size      int64 // compressed
	MediaType string
}

// ToolPin is one resolved claim of [toolchain].
type ToolPin struct {
	Version string
	From    string            // "wheel", "deb", "base", "interpreter"
	Facts   map[string]string // cuda, cudnn, driver, compute: what the tool says about itself
}

// DebPin is one Debian package.
type DebPin struct {
	Name    string
	Version string
	Arch    string
	Archive string // "Debian/trixie/main": Origin/Suite/Component, not a machine
	Path    string // below the archive's root: pool/…
	Size    int64
	SHA256  string
	Layer   string // "base", "toolchain", "apt", "pip": which layer it belongs to
}

// WheelPin is one Python wheel. From is "base" for what the base already has; then only Name and
// Version are set.
type WheelPin struct {
	Name    string
	Version string
	File    string
	Size    int64
	SHA256  string
	Index   string // name of the index: "default" or a name of [[python.index]]
	From    string
}

// FilePin is one file by hash, such as a standalone Python.
type FilePin struct {
	Name   string
	File   string
	URL    string
	Size   int64
	SHA256 string
}

// FetchPin is one [[fetch]].
type FetchPin struct {
	URL    string
	SHA256 string
	Size   int64
	To     string
	Unpack bool
	Mode   uint32
}

// StepPin is one image step: its command and the content of every file that it sees.
type StepPin struct {
	Run     string   // a shell line; or Args
	Args    []string // an argument list; or Run
	Workdir string
	Env     map[string]string
	Network bool
	Inputs  map[string]string // path in the project -> sha256
}

// BuiltLayer is what a built layer came out as.
type BuiltLayer struct {
	DiffID string
	Files  string // digest of the file list
}
