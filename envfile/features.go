package envfile

import "strings"

// Feature is a part of the format that a file uses and that a version of the tool may not have.
type Feature struct {
	Key string // "service", "network.mode=private": a key, with its value where that is what counts
	Pos Pos

	at *keyNode // nil for a File made by hand
}

// Features lists what the file uses beyond the ground that every version covers, in one order. Whoever
// executes the file knows what it can do; see [File.Unsupported].
func (f *File) Features() []Feature {
	var out []Feature
	use := func(ok bool, key string, path ...string) {
		if ok {
			if path == nil {
				path = strings.Split(key, ".")
			}
			out = append(out, Feature{Key: key, Pos: f.Pos(path...), at: f.near(path...)})
		}
	}
	use(f.Image.Dockerfile != "", "image.dockerfile")
	use(f.Image.IDs == "subuid", "image.ids=subuid", "image", "ids")
	use(len(f.Apt.Sources) > 0, "apt.source")
	use(f.Python.Into == "base", "python.into=base", "python", "into")
	use(f.Python.Sdist.Allow || len(f.Python.Sdist.Names) > 0, "python.sdist")
	use(len(f.Python.Indexes) > 0, "python.index")
	use(len(f.Python.Build) > 0, "python.build")
	use(f.Resolve.AsOf != "", "resolve.as-of")
	f.stepFeatures(use)
	use(len(f.Fetches) > 0, "fetch")
	use(len(f.Sources.Vendor) > 0, "sources.vendor")
	use(len(f.Devices.CDI) > 0, "devices.cdi")
	use(f.Devices.InfiniBand == "auto", "devices.infiniband")
	use(len(f.Secrets) > 0, "secrets")
	use(len(f.Isolation.Allow) > 0, "isolation.allow")
	use(f.Record.To != "", "record.to")
	f.runFeatures(use, nil, &f.GPU, &f.Network, f.Mounts)
	for _, name := range sortedKeys(f.Tasks) {
		t := f.Tasks[name]
		f.runFeatures(use, []string{"task", name}, t.GPU, t.Network, t.Mounts)
		use(len(t.Depends) > 0, "task.depends", "task", name, "depends")
		use(t.User != "", "task.user", "task", name, "user")
	}
	use(len(f.Services) > 0, "service")
	return out
}

type useFunc func(ok bool, key string, path ...string)

func (f *File) stepFeatures(use useFunc) {
	for _, s := range f.Steps {
		use(true, "step.where="+s.Where, "step")
		use(s.Network, "step.network", "step")
		use(len(s.Secrets) > 0, "step.secrets", "step")
		use(len(s.After) > 0, "step.after", "step")
	}
}

// runFeatures names what a task uses as the file's own tables would be named.
func (f *File) runFeatures(use useFunc, at []string, g *GPU, net *Network, mounts map[string]Mount) {
	below := func(path ...string) []string { return append(at[:len(at):len(at)], path...) }
	if g != nil {
		use(g.Need == "required", "gpu.need=required", below("gpu", "need")...)
		use(g.Need == "optional", "gpu.need=optional", below("gpu", "need")...)
	}
	if net != nil {
		use(net.Mode == "private", "network.mode=private", below("network", "mode")...)
		use(len(net.Allow) > 0, "network.allow", below("network", "allow")...)
		use(len(net.Publish) > 0, "network.publish", below("network", "publish")...)
	}
	for _, name := range sortedKeys(mounts) {
		use(mounts[name].Kind != "", "mounts.kind="+mounts[name].Kind, below("mounts", name, "kind")...)
	}
}

// Unsupported gives an error, as Problems, for every feature that the file uses and supported does not
// know: "[service] is not supported by this version". It is nil if there is none.
func (f *File) Unsupported(supported func(feature string) bool) error {
	var c checker
	told := map[string]bool{}
	for _, feature := range f.Features() {
		if supported(feature.Key) || told[feature.Key] {
			continue
		}
		told[feature.Key] = true
		key, value, has := strings.Cut(feature.Key, "=")
		words := "[" + key + "]"
		if strings.Contains(key, ".") {
			words = "`" + key + "`"
		}
		if has {
			words = "`" + key + " = " + quote(value) + "`"
		}
		msg, n := words+" is not supported by this version", feature.at
		if n == nil {
			c.problems = append(c.problems, placed{Problem: Problem{Msg: msg}, off: len(c.problems)})
			continue
		}
		c.fail(n, n.key, "", "%s", msg)
	}
	return c.err()
}
