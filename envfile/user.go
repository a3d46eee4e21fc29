package envfile

import "time"

// UserConfig is ~/.config/sandbox/config.toml: what holds for every project of one user on one
// machine. A nil UserConfig is an empty one.
type UserConfig struct {
	Stores   []string                  // read-only stores, looked at first, but for names of images
	Index    map[string]UserIndex      // "default" is the index without a name
	Debian   map[string]DebianOrigin   // by the Origin of a Release file
	Registry map[string]RegistryConfig // by host
	UV       string                    // [tools] uv
	Bind     Bind
	Limits   Limits
	Submit   map[string]any
	Layers   LayersConfig
	GC       GCConfig

	tree *keyNode
}

// UserIndex is one Python index. The address may hold credentials: never print it whole.
type UserIndex struct{ URL string }

// DebianOrigin is where the packages of one Debian archive are taken from.
type DebianOrigin struct{ Mirror, Snapshot, Keyring string }

// RegistryConfig is how one registry is spoken to.
type RegistryConfig struct {
	Mirrors  []string // hosts
	Insecure bool     // plain http is allowed
	CA       string   // a file
}

// LayersConfig bounds the layers of images. A zero value means the default.
type LayersConfig struct {
	Entries int
	Size    Size
	Ratio   int
	Memory  Size
}

// GCConfig is what garbage collection keeps. Zero values mean no such rule.
type GCConfig struct {
	MaxSize   Size
	OlderThan time.Duration
}

// ParseUserConfig reads the user's configuration; name is what errors call it. Its error is Problems.
func ParseUserConfig(name string, src []byte) (*UserConfig, error) {
	s := newSource(name, src)
	s.own = true
	root, problem := readTree(s)
	if problem != nil {
		return nil, Problems{*problem}
	}
	var c checker
	c.table(root, userSpec(), nil)
	for _, name := range root.get("index").names() {
		if !root.get("index", name).isTable {
			continue
		}
		c.required(root.get("index", name), userSpec().find("index.NAME"), []string{"index", name})
	}
	c.oneOfSecrets(root.get("bind", "secrets"), "secrets")
	if err := c.err(); err != nil {
		return nil, err
	}
	u := &UserConfig{
		tree: root, Stores: root.strs("stores"), UV: root.get("tools").str("uv", ""),
		Bind: buildBind(root.get("bind")), Limits: buildLimits(root.get("limits")),
		Layers: LayersConfig{
			Entries: root.get("layers").integer("entries", 0), Size: root.get("layers").size("size"),
			Ratio: root.get("layers").integer("ratio", 0), Memory: root.get("layers").size("memory"),
		},
		GC: GCConfig{MaxSize: root.get("gc").size("max-size")},
	}
	u.GC.OlderThan, _ = ParseDuration(root.get("gc").str("older-than", ""))
	u.Submit, _ = root.get("submit").plain().(map[string]any)
	for _, name := range root.get("index").names() {
		u.Index = put(u.Index, name, UserIndex{URL: root.get("index", name).str("url", "")})
	}
	for _, name := range root.get("debian").names() {
		d := root.get("debian", name)
		u.Debian = put(u.Debian, name, DebianOrigin{d.str("mirror", ""), d.str("snapshot", ""), d.str("keyring", "")})
	}
	for _, name := range root.get("registry").names() {
		r := root.get("registry", name)
		u.Registry = put(u.Registry, name, RegistryConfig{r.strs("mirrors"), r.flag("insecure"), r.str("ca", "")})
	}
	return u, nil
}

// apply adds to a File what the user's configuration says: bindings that the project's own file does
// not give, the lower of two caps, and the site's terms for schedulers.
func (u *UserConfig) apply(f *File) {
	if u == nil {
		return
	}
	for name, path := range u.Bind.Mounts {
		if _, ok := f.Bind.Mounts[name]; !ok {
			f.Bind.Mounts = put(f.Bind.Mounts, name, path)
		}
	}
	for name, v := range u.Bind.Secrets {
		if _, ok := f.Bind.Secrets[name]; !ok {
			f.Bind.Secrets = put(f.Bind.Secrets, name, v)
		}
	}
	capLimits(u.Limits, &f.Limits)
	for _, t := range f.Tasks {
		capLimits(u.Limits, t.Limits)
	}
	for _, s := range f.Services {
		capLimits(u.Limits, s.Limits)
	}
	if u.tree != nil && f.tree != nil {
		f.Submit, _ = f.tree.get("submit").merged(u.tree.get("submit")).plain().(map[string]any)
	}
}

// capLimits lowers every cap of l to that of the user.
func capLimits(u Limits, l *Limits) {
	if l == nil {
		return
	}
	l.Memory, l.Shm, l.Disk = lowerOf(l.Memory, u.Memory), lowerOf(l.Shm, u.Shm), lowerOf(l.Disk, u.Disk)
	l.CPUs, l.Pids = lowerOf(l.CPUs, u.CPUs), lowerOf(l.Pids, u.Pids)
	mine, _ := ParseDuration(u.Time)
	theirs, _ := ParseDuration(l.Time)
	if u.Time != "" && lowerOf(theirs, mine) == mine {
		l.Time = u.Time
	}
}
