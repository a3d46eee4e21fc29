package envfile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Want is one thing that a project asks of the machine.
type Want struct {
	Key   string   // the key that asks, "mounts.data"
	Words string   // for the user, "mount data"
	More  string   // what else is agreed to, "at /data, only to read"; "" where Words say it all
	About string   // the project's own words, "" if it gives none; show it as a quotation
	Value []string // what was agreed to: enters the digest with Key
	Pos   Pos
}

// Wants is everything that needs the user's consent: the keys that docs/schema.md marks H, sorted.
// What the user's own file or the command line gave is not among them.
type Wants []Want

// Empty reports whether there is nothing to ask.
func (w Wants) Empty() bool { return len(w) == 0 }

// String lists the wants in words: "mount data, secret HF_TOKEN".
func (w Wants) String() string {
	words := make([]string, len(w))
	for i := range w {
		words[i] = w[i].Words
	}
	return strings.Join(slices.Compact(words), ", ")
}

// Digest names exactly these wants, "sha256:…": consent is kept for it. It does not change with the
// order of the file, with comments, with About, or with where the machine binds something.
func (w Wants) Digest() string {
	h := sha256.New()
	for _, want := range w {
		for _, s := range append([]string{want.Key}, want.Value...) {
			fmt.Fprintf(h, "%d:%s,", len(s), s)
		}
		h.Write([]byte("\n"))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Err is nil if there is nothing to ask, else the [*ConsentError] for a run without consent.
func (w Wants) Err() error {
	if w.Empty() {
		return nil
	}
	return &ConsentError{w}
}

// ConsentError is a project that asks for what the user has not agreed to.
type ConsentError struct{ Wants Wants }

func (e *ConsentError) Error() string {
	return "this project asks for things of your machine: " + e.Wants.String()
}

// Hint says how to see and to agree.
func (e *ConsentError) Hint() string { return "see and allow them with `sandbox trust`" }

// wanting collects wants.
type wanting struct {
	f   *File
	out Wants
}

// elem is the path component of a list's element. It is no part of a want's key: where in a list
// something stands means nothing.
func elem(i int) string { return "#" + strconv.Itoa(i) }

// add enters a want unless the user's own file gave the value at path.
func (w *wanting) add(path []string, words, about string, value ...string) {
	var key, real []string
	for _, part := range path {
		number, isElem := strings.CutPrefix(part, "#")
		real = append(real, number)
		if !isElem {
			key = append(key, part)
		}
	}
	if w.f.own(real...) {
		return
	}
	w.out = append(w.out, Want{Key: strings.Join(key, "."), Words: printable(words), About: printable(about), Value: value, Pos: w.f.Pos(real...)})
}

// Wants gives what the file asks of the machine.
func (f *File) Wants() Wants {
	w := &wanting{f: f}
	w.paths()
	for _, name := range sortedKeys(f.Secrets) {
		s := f.Secrets[name]
		w.add([]string{"secrets", name}, "secret "+name, s.About, s.Scope, s.As)
	}
	for i, s := range f.Steps {
		w.step(i, s)
	}
	for i, name := range f.Devices.CDI {
		w.add([]string{"devices", "cdi", elem(i)}, "device "+name, "", name)
	}
	if f.Devices.InfiniBand == "auto" {
		w.add([]string{"devices", "infiniband"}, "InfiniBand devices", "", "auto")
	}
	for i, what := range f.Isolation.Allow {
		w.add([]string{"isolation", "allow", elem(i)}, "looser isolation ("+what+")", "", what)
	}
	w.run(nil, f.Mounts, &f.Env, &f.Network)
	for _, name := range sortedKeys(f.Tasks) {
		t := f.Tasks[name]
		w.run([]string{"task", name}, t.Mounts, t.Env, t.Network)
		w.files([]string{"task", name, "inputs"}, t.Inputs)
	}
	for _, name := range sortedKeys(f.Services) {
		s := f.Services[name]
		at := []string{"service", name}
		w.run(at, s.Mounts, s.Env, s.Network)
		w.files(append(at, "inputs"), s.Inputs)
		w.base(append(at, "image"), s.Image)
		w.publish(append(at, "publish"), s.Publish)
	}
	return w.sorted()
}

// sorted brings the wants into an order that does not depend on the file's, and says the same thing
// once: a task's tables hold those of the file.
func (w *wanting) sorted() Wants {
	text := func(a Want) string { return a.Words + "\x00" + a.Key + "\x00" + strings.Join(a.Value, "\x00") }
	sort.SliceStable(w.out, func(i, j int) bool { return text(w.out[i]) < text(w.out[j]) })
	return slices.CompactFunc(w.out, func(a, b Want) bool { return text(a) == text(b) })
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// step asks for what a build step gets beyond a sealed box. Consent is to this command with these
// abilities, so the command is part of it.
func (w *wanting) step(i int, s Step) {
	if !s.Network && len(s.Secrets) == 0 {
		return
	}
	what := make([]string, 0, 2)
	if s.Network {
		what = append(what, "network")
	}
	for _, name := range s.Secrets {
		what = append(what, "secret "+name)
	}
	w.add([]string{"step", elem(i)}, strings.Join(what, " and ")+" for build step "+quote(stepText(s.Run)), "", stepValue(s)...)
}

// stepValue writes out what the step does. What it does not use is left out, so that a new key of
// the format changes no digest.
func stepValue(s Step) (out []string) {
	add := func(key string, values ...string) {
		for _, v := range values {
			if v != "" || key == "arg" {
				out = append(out, key+"="+v)
			}
		}
	}
	add("shell", s.Run.Shell)
	add("arg", s.Run.Args...)
	add("where", s.Where)
	add("workdir", s.Workdir)
	add("network", onlyTrue(s.Network))
	add("secret", s.Secrets...)
	add("input", s.Inputs...)
	add("output", s.Outputs...)
	for _, name := range sortedKeys(s.Env) {
		out = append(out, "env="+name+"="+s.Env[name])
	}
	return out
}

func stepText(c Command) string {
	if c.Shell != "" {
		return strings.TrimSpace(c.Shell)
	}
	return strings.Join(c.Args, " ")
}

// run asks for what a process gets: at is nil for the file's own tables, else a task's or a
// service's, whose tables hold the file's, too.
func (w *wanting) run(at []string, mounts map[string]Mount, env *Env, network *Network) {
	below := func(path ...string) []string { return append(at[:len(at):len(at)], path...) }
	who := ""
	if at != nil {
		who = " of " + at[0] + " " + at[1]
	}
	for _, name := range sortedKeys(mounts) {
		m := mounts[name]
		if at != nil && w.f.Mounts[name] == m {
			continue
		}
		if m.Kind == "host" && !w.f.own(below("mounts", name, "kind")...) {
			n := len(w.out)
			w.add(below("mounts", name), "mount "+name+who, m.About, m.To, m.Mode)
			for i := range w.out[n:] {
				w.out[n+i].More = "at " + m.To + mountMode(m.Mode)
			}
		}
		if m.Kind == "project" && w.leaves(m.From) {
			w.add(below("mounts", name, "from"), "path "+m.From, "", m.From)
		}
	}
	if env != nil {
		for i, name := range env.Pass {
			if !passesAlways(name) && (at == nil || !slices.Contains(w.f.Env.Pass, name)) {
				w.add(below("env", "pass", elem(i)), "variable "+name+who, "", name)
			}
		}
	}
	if network != nil {
		ports := network.Publish
		if at != nil {
			ports = slices.DeleteFunc(slices.Clone(ports), func(p string) bool { return slices.Contains(w.f.Network.Publish, p) })
		}
		w.publish(below("network", "publish"), ports)
	}
}

func mountMode(mode string) string {
	if mode == "ro" {
		return ", only to read"
	}
	return ", to read and write"
}

func (w *wanting) publish(path []string, ports []string) {
	for i, s := range ports {
		addr, _, _, err := splitPublish(s)
		if err == nil && !isLoopback(addr) {
			w.add(append(path[:len(path):len(path)], elem(i)), "port "+s, "", s)
		}
	}
}

// passesAlways names what crosses from the host without being asked for: locale, terminal, time zone
// and proxies. The scheduler's variables do so inside a job only, and some are credentials.
func passesAlways(name string) bool {
	switch name {
	case "LANG", "LANGUAGE", "TERM", "COLORTERM", "TZ",
		"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy",
		"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY":
		return true
	}
	return strings.HasPrefix(name, "LC_")
}
