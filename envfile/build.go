package envfile

import (
	"path"
	"slices"
	"strings"
	"time"
)

// buildFile turns a checked tree into a File, with defaults.
func buildFile(n *keyNode) *File {
	img := n.get("image")
	f := &File{
		tree:      n,
		Schema:    n.integer("schema", Schema),
		Requires:  n.str("requires", ""),
		Name:      n.str("name", ""),
		Platforms: n.strs("platforms"),
		Project: Project{
			At:   n.get("project").str("at", "/workspace"),
			Root: path.Clean(n.get("project").str("root", ".")),
		},
		Image: Image{
			Base: img.str("base", ""), User: img.str("user", "image"), IDs: img.str("ids", "single"),
			Mirror: img.str("mirror", ""), Keyring: img.str("keyring", ""),
			Dockerfile: img.str("dockerfile", ""), Args: img.strMap("args"), Target: img.str("target", ""),
		},
		Toolchain: buildTools(n),
		Apt:       buildApt(n.get("apt")),
		Python:    buildPython(n.get("python")),
		Resolve:   Resolve{AsOf: n.get("resolve").date("as-of")},
		Sources:   Sources{Vendor: n.get("sources").strs("vendor")},
		GPU:       buildGPU(n.get("gpu")),
		Devices:   Devices{CDI: n.get("devices").strs("cdi"), InfiniBand: n.get("devices").str("infiniband", "none")},
		Env:       buildEnv(n.get("env")),
		Secrets:   buildSecrets(n.get("secrets")),
		Mounts:    buildMounts(n.get("mounts")),
		Network:   buildNetwork(n.get("network")),
		Needs:     buildNeeds(n.get("needs")),
		Limits:    buildLimits(n.get("limits")),
		Isolation: Isolation{Allow: n.get("isolation").strs("allow")},
		Record:    Record{To: n.get("record").str("to", "")},
	}
	f.Submit, _ = n.get("submit").plain().(map[string]any)
	f.X, _ = n.get("x").plain().(map[string]any)
	buildLists(f, n)
	return f
}

// buildLists fills in what there can be many of.
func buildLists(f *File, n *keyNode) {
	for _, e := range n.get("step").elems() {
		f.Steps = append(f.Steps, Step{
			Run: e.command("run"), Where: e.str("where", "image"), Inputs: e.strs("inputs"), Outputs: e.strs("outputs"),
			Workdir: e.str("workdir", ""), Env: e.strMap("env"), Network: e.flag("network"), Secrets: e.strs("secrets"), After: e.strs("after"),
		})
	}
	for _, e := range n.get("fetch").elems() {
		mode := uint32(0)
		if m := e.get("mode"); m != nil {
			mode, _ = m.mode()
		}
		f.Fetches = append(f.Fetches, Fetch{
			URL: e.str("url", ""), SHA256: strings.TrimPrefix(e.str("sha256", ""), "sha256:"),
			To: e.str("to", ""), Unpack: e.flag("unpack"), Mode: mode,
		})
	}
	for _, name := range n.get("task").names() {
		f.Tasks = put(f.Tasks, name, buildTask(n, n.get("task", name)))
	}
	for _, name := range n.get("service").names() {
		s := n.get("service", name)
		ready, _ := s.get("ready").plain().(map[string]any)
		f.Services = put(f.Services, name, Service{
			Task: buildTask(n, s), Image: s.str("image", ""), Volumes: s.strMap("volumes"),
			Publish: s.strs("publish"), Ready: ready, Restart: s.str("restart", "no"),
		})
	}
}

func put[V any](m map[string]V, name string, v V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[name] = v
	return m
}

func (n *keyNode) elems() []*keyNode {
	if n == nil {
		return nil
	}
	return n.list
}

func (n *keyNode) date(key string) string {
	if k := n.get(key); k != nil {
		if t, ok := k.value.(time.Time); ok {
			return dateText(k.raw(), t)
		}
	}
	return n.str(key, "")
}

// buildTools leaves out the claims that a profile dropped with "none".
func buildTools(n *keyNode) map[string]string {
	out := n.strMap("toolchain")
	for name, want := range out {
		if want == "none" {
			delete(out, name)
		}
	}
	return out
}

func buildApt(n *keyNode) Apt {
	a := Apt{Packages: n.strs("packages"), Recommends: n.flag("recommends")}
	for _, e := range n.get("source").elems() {
		s := AptSource{URL: e.str("url", ""), Suite: e.str("suite", ""), Components: e.strs("components"), Key: e.str("key", "")}
		if len(s.Components) == 0 {
			s.Components = []string{"main"}
		}
		a.Sources = append(a.Sources, s)
	}
	return a
}

func buildPython(n *keyNode) Python {
	p := Python{
		Packages: n.strs("packages"), Requirements: n.strs("requirements"), Project: n.str("project", ""),
		Extras: n.strs("extras"), Groups: n.strs("groups"), Constraints: n.strs("constraints"), Into: n.str("into", "env"),
		Sdist: SdistPolicy{Allow: n.str("sdist", "deny") == "allow", Names: n.strs("sdist")},
	}
	for _, e := range n.get("index").elems() {
		p.Indexes = append(p.Indexes, PythonIndex{Name: e.str("name", ""), URL: e.str("url", ""), Only: e.strs("only")})
	}
	for _, name := range n.get("build").names() {
		b := n.get("build", name)
		p.Build = put(p.Build, name, PythonBuild{
			With: b.strs("with"), Toolchain: buildTools(b), Env: b.strMap("env"), Compute: b.strs("compute"),
			Requires: b.strs("requires"), MemoryPerJob: b.size("memory-per-job"),
		})
	}
	return p
}

func buildGPU(n *keyNode) GPU {
	g := GPU{
		Need: n.str("need", "none"), MinMemory: n.size("min-memory"), TotalMemory: n.size("total-memory"),
		Compute: n.str("compute", ""), Name: n.str("name", ""), MIG: n.str("mig", ""), Share: n.flag("share"),
		Wait: n.duration("wait"), Caps: n.strs("caps"),
	}
	if g.Need != "none" {
		g.Count = n.integer("count", 1)
	}
	return g
}

func buildEnv(n *keyNode) Env { return Env{Set: n.strMap("set"), Pass: n.strs("pass")} }

func buildSecrets(n *keyNode) (out map[string]Secret) {
	for _, name := range n.names() {
		s := n.get(name)
		out = put(out, name, Secret{Scope: s.str("scope", "run"), As: s.str("as", "env"), Optional: s.flag("optional"), About: s.str("about", "")})
	}
	return out
}

func buildMounts(n *keyNode) (out map[string]Mount) {
	for _, name := range n.names() {
		e := n.get(name)
		m := Mount{
			To: e.str("to", ""), Kind: e.str("kind", ""), From: e.str("from", ""), Mode: e.str("mode", "rw"),
			Scope: e.str("scope", ""), Optional: e.flag("optional"), About: e.str("about", ""), Size: e.size("size"),
		}
		// What is the user's own stays as it is unless the project says that it writes there.
		if m.Kind == "host" && e.get("mode") == nil {
			m.Mode = "ro"
		}
		if m.Kind == "cache" && m.Scope == "" {
			m.Scope = "user"
		}
		out = put(out, name, m)
	}
	return out
}

func buildNetwork(n *keyNode) Network {
	out := Network{Mode: n.str("mode", "host"), Publish: n.strs("publish")}
	// A task or profile that leaves a private network has no use for its list.
	if out.Mode == "private" {
		out.Allow = n.strs("allow")
	}
	return out
}

func buildNeeds(n *keyNode) Needs {
	return Needs{Memory: n.size("memory"), CPUs: n.number("cpus"), Disk: n.size("disk")}
}

func buildLimits(n *keyNode) Limits {
	return Limits{
		Memory: n.size("memory"), CPUs: n.number("cpus"), Pids: n.integer("pids", 0),
		Time: n.duration("time"), Shm: n.size("shm"), Disk: n.size("disk"),
	}
}

// buildTask makes a task whose tables are the file's with its own merged over them; a table that the
// task does not mention stays nil.
func buildTask(root, n *keyNode) Task {
	t := Task{
		Run: n.command("run"), About: n.str("about", ""), Workdir: n.str("workdir", ""), User: n.str("user", ""),
		Secrets: n.strs("secrets"), Inputs: n.strs("inputs"), Outputs: n.strs("outputs"), Depends: n.strs("depends"),
	}
	full := func(key string) *keyNode { return root.get(key).merged(n.get(key)) }
	if n.get("gpu") != nil {
		v := buildGPU(full("gpu"))
		t.GPU = &v
	}
	if n.get("limits") != nil {
		v := buildLimits(full("limits"))
		t.Limits = &v
	}
	if n.get("needs") != nil {
		v := buildNeeds(full("needs"))
		t.Needs = &v
	}
	if n.get("env") != nil {
		v := buildEnv(full("env"))
		t.Env = &v
	}
	if n.get("network") != nil {
		v := buildNetwork(full("network"))
		t.Network = &v
	}
	if n.get("mounts") != nil {
		t.Mounts = buildMounts(full("mounts"))
	}
	return t
}

func buildBind(n *keyNode) Bind {
	b := Bind{Mounts: n.strMap("mounts")}
	for _, name := range n.get("secrets").names() {
		s := n.get("secrets", name)
		b.Secrets = put(b.Secrets, name, SecretValue{Env: s.str("env", ""), File: s.str("file", ""), Command: s.strs("command")})
	}
	return b
}

// For tells whether the file is for a platform: one of those that it names, or any if it names none.
func (f *File) For(platform string) bool {
	return len(f.Platforms) == 0 || slices.ContainsFunc(f.Platforms, func(p string) bool { return Platform(p) == Platform(platform) })
}

// Platform is the usual name of a platform: every arm64 processor is a v8.
func Platform(name string) string {
	if name == "linux/arm64/v8" {
		return "linux/arm64"
	}
	return name
}

// Blame is an error, as Problems, about the value of a key: msg at its place in the merged file, with a hint
// that may be "". Without such a place it is the message alone.
func (f *File) Blame(hint, msg string, key ...string) error {
	n := f.near(key...)
	if n == nil || n == f.tree {
		return Problems{{Msg: msg, Hint: hint, Len: 1}}
	}
	return Problems{n.src.problem(n.key, hint, "%s", msg)}
}

// Pos is the place of a key of the merged file, given by its components; elements of lists go by
// number, from 0. Its File says which of the merged files the value came from. It is zero for a File
// that was not made by [Document.Resolve].
func (f *File) Pos(key ...string) Pos {
	if n := f.near(key...); n != nil {
		return n.pos()
	}
	return Pos{}
}

func (f *File) near(key ...string) *keyNode {
	if f == nil || f.tree == nil {
		return nil
	}
	return f.tree.near(key...)
}

// own reports whether the user's own file or the command line gave the value.
func (f *File) own(key ...string) bool {
	if f.tree == nil {
		return false
	}
	n := f.tree.get(key...)
	return n != nil && n.src != nil && n.src.own
}
