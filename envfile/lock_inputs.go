package envfile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Inputs is what the pins of one platform depend on: the normalised values of the keys that enter a
// lock, under their names ("apt.packages"), and the sha256 (hex) of every file that was read, under
// "file:" and its path. Keys at their default are left out. Where order means nothing it is not kept,
// so moving a package in a list makes no lock stale. Of platforms only the one asked for is among them:
// each has a section of its own, and one more changes no other.
func Inputs(f *File, platform string, files map[string]string) map[string]string {
	in := inputs{}
	in.str("platform", platform)
	in.str("image.base", f.Image.Base)
	in.str("image.dockerfile", f.Image.Dockerfile)
	in.table("image.args", f.Image.Args)
	in.str("image.target", f.Image.Target)
	for name, want := range f.Toolchain {
		in.str("toolchain."+name, strings.Join(strings.Fields(want), " "))
	}
	in.set("apt.packages", f.Apt.Packages)
	in.flag("apt.recommends", f.Apt.Recommends)
	for i, s := range f.Apt.Sources {
		in.rec("apt.source", i, "url", s.URL, "suite", s.Suite, "components", joinItems(s.Components), "key", s.Key)
	}
	in.python(&f.Python)
	in.str("resolve.as-of", f.Resolve.AsOf)
	for i, s := range f.Steps {
		in.rec("step", i, "run", s.Run.Shell, "exec", joinItems(s.Run.Args), "where", s.Where, "inputs", joinSet(s.Inputs),
			"outputs", joinSet(s.Outputs), "workdir", s.Workdir, "env", joinTable(s.Env), "network", onlyTrue(s.Network),
			"secrets", joinSet(s.Secrets), "after", joinSet(s.After))
	}
	for i, p := range f.Fetches {
		mode := ""
		if p.Mode != 0 {
			mode = fmt.Sprintf("%04o", p.Mode)
		}
		in.rec("fetch", i, "url", p.URL, "sha256", p.SHA256, "to", p.To, "unpack", onlyTrue(p.Unpack), "mode", mode)
	}
	for name, s := range f.Services {
		in.str("service."+name+".image", s.Image) // the rest of a service changes no pin
	}
	for name, sum := range files {
		in["file:"+name] = "sha256:" + strings.TrimPrefix(sum, "sha256:")
	}
	return in
}

func (in inputs) python(p *Python) {
	in.set("python.packages", tidyAll(p.Packages))
	in.list("python.requirements", p.Requirements)
	in.str("python.project", p.Project)
	in.set("python.extras", p.Extras)
	in.set("python.groups", p.Groups)
	in.set("python.constraints", p.Constraints)
	if p.Into != "env" {
		in.str("python.into", p.Into)
	}
	in.flag("python.sdist", p.Sdist.Allow)
	if !p.Sdist.Allow {
		in.set("python.sdist", p.Sdist.Names)
	}
	for i, x := range p.Indexes { // their order says who is asked first
		in.rec("python.index", i, "name", x.Name, "url", x.URL, "only", joinSet(x.Only))
	}
	for name, b := range p.Build {
		memory := ""
		if b.MemoryPerJob != 0 {
			memory = strconv.FormatInt(int64(b.MemoryPerJob), 10)
		}
		in.str("python.build."+name, joinRec("with", joinSet(b.With), "toolchain", joinTable(b.Toolchain), "env", joinTable(b.Env),
			"compute", joinSet(b.Compute), "requires", joinSet(b.Requires), "memory-per-job", memory))
	}
}

// ConfigOf is what an exported image's configuration is made from: the keys of the env file that
// enter it, whoever runs this and wherever the project lies.
//
// What a profile without a section of its own, sandbox.local.toml or the command line adds is left out: it
// holds for this run or machine, and must make nobody's lock stale.
func ConfigOf(f *File) Config {
	if f.lockConfig != nil {
		return *f.lockConfig
	}
	c := Config{Name: f.Name, ProjectAt: f.Project.At, User: f.Image.User, Publish: slices.Clone(f.Network.Publish), Env: maps.Clone(f.Env.Set)}
	if t, ok := f.Tasks["default"]; ok && !t.Run.IsZero() {
		c.Cmd = t.Run.Argv("default", nil)
	}
	return c
}

type inputs map[string]string

func (in inputs) str(key, v string) {
	if v != "" {
		in[key] = v
	}
}
func (in inputs) flag(key string, v bool)             { in.str(key, onlyTrue(v)) }
func (in inputs) list(key string, v []string)         { in.str(key, joinItems(v)) }
func (in inputs) set(key string, v []string)          { in.str(key, joinSet(v)) }
func (in inputs) table(k string, m map[string]string) { in.str(k, joinTable(m)) }
func (in inputs) rec(key string, i int, pairs ...string) {
	in[key+"."+strconv.Itoa(i+1)] = joinRec(pairs...)
}

func onlyTrue(v bool) string {
	if v {
		return "true"
	}
	return ""
}

// joinItems joins with commas; an item that could be taken for more than one is quoted.
func joinItems(v []string) string {
	out := make([]string, len(v))
	for i, s := range v {
		if out[i] = s; s == "" || strings.ContainsAny(s, ",\"\\\n= ") {
			out[i] = strconv.Quote(s)
		}
	}
	return strings.Join(out, ",")
}

func joinSet(v []string) string {
	s := slices.Sorted(slices.Values(v))
	return joinItems(slices.Compact(s))
}

func joinTable(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, joinItems([]string{k})+"="+joinItems([]string{m[k]}))
	}
	return strings.Join(out, ",")
}

func joinRec(pairs ...string) string {
	var out []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, pairs[i]+"="+strconv.Quote(pairs[i+1]))
		}
	}
	return strings.Join(out, " ")
}

// tidyAll drops blanks that mean nothing in a requirement: "numpy >= 1" is "numpy>=1". What follows
// a marker or an address is left alone.
func tidyAll(v []string) []string {
	out := make([]string, len(v))
	for i, s := range v {
		if out[i] = strings.TrimSpace(s); !strings.ContainsAny(s, ";@") {
			out[i] = strings.Join(strings.Fields(s), "")
		}
	}
	return out
}
