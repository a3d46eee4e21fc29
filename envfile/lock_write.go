package envfile

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

const lockHeader = "# machine-written by sandbox: change sandbox.toml and run `sandbox lock`\n"

// LockTool is the lowest version of the tool that reads the locks this package writes.
const LockTool = "0.1"

// SectionName is the name of the lock's section for a platform ("linux/amd64") under profiles, in
// the order in which they apply: "linux-amd64", "linux-amd64+cpu+test".
func SectionName(platform string, profiles []string) string {
	name := strings.ReplaceAll(platform, "/", "-")
	return strings.Join(append([]string{name}, profiles...), "+")
}

// WriteTo writes the lock as TOML. The same lock always gives the same bytes: sections, pins and
// keys are sorted, whatever order the slices are in, and no time of now is in it. A lock that
// [ReadLock] would refuse is not written: the error says why.
func (l *Lock) WriteTo(w io.Writer) (int64, error) {
	text := l.text()
	if _, err := ReadLock("the new lock", text); err != nil {
		return 0, err
	}
	n, err := w.Write(text)
	return int64(n), err
}

func (l *Lock) text() []byte {
	var t tomlWriter
	t.WriteString(lockHeader)
	t.num("version", int64(l.Version))
	t.str("tool", l.Tool)
	t.num("layer-format", int64(l.LayerFormat))
	t.num("epoch", l.Epoch)
	t.list("as-of-kept", slices.Sorted(slices.Values(l.AsOfKept)))
	for _, name := range slices.Sorted(maps.Keys(l.Sections)) {
		t.section(quoteKey(name), l.Digest(name), l.Sections[name])
	}
	return t.Bytes()
}

// tomlWriter writes keys with values; empty values are left out.
type tomlWriter struct{ bytes.Buffer }

func (t *tomlWriter) header(parts ...string) {
	fmt.Fprintf(t, "\n[%s]\n", strings.Join(parts, "."))
}
func (t *tomlWriter) element(parts ...string) {
	fmt.Fprintf(t, "\n[[%s]]\n", strings.Join(parts, "."))
}
func (t *tomlWriter) num(key string, v int64) { fmt.Fprintf(t, "%s = %d\n", key, v) }
func (t *tomlWriter) str(key, v string) {
	if v != "" {
		fmt.Fprintf(t, "%s = %s\n", key, quoteTOML(v))
	}
}
func (t *tomlWriter) list(key string, v []string) {
	if len(v) > 0 {
		fmt.Fprintf(t, "%s = %s\n", key, listTOML(v))
	}
}
func (t *tomlWriter) strs(m map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(t, "%s = %s\n", quoteKey(k), quoteTOML(m[k]))
	}
}

func (t *tomlWriter) section(name, digest string, s *Section) {
	t.header(name)
	t.str("digest", digest)
	if len(s.Inputs) > 0 {
		t.header(name, "inputs")
		t.strs(s.Inputs)
	}
	t.config(name, &s.Config)
	t.image(name, &s.Image)
	if len(s.Toolchain) > 0 {
		t.header(name, "toolchain")
		for _, tool := range slices.Sorted(maps.Keys(s.Toolchain)) {
			t.tool(tool, s.Toolchain[tool])
		}
	}
	t.pins(name, s)
	t.steps(name, s.Steps)
	if len(s.Built) > 0 {
		t.header(name, "built")
		for _, key := range slices.Sorted(maps.Keys(s.Built)) {
			b, sep := s.Built[key], " "
			fmt.Fprintf(t, "%s = {", quoteKey(key))
			for _, kv := range [][2]string{{"diff-id", b.DiffID}, {"files", b.Files}} {
				if kv[1] != "" {
					fmt.Fprintf(t, "%s%s = %s", sep, kv[0], quoteTOML(kv[1]))
					sep = ", "
				}
			}
			t.WriteString(" }\n")
		}
	}
}

func (t *tomlWriter) config(name string, c *Config) {
	var keys tomlWriter
	keys.str("name", c.Name)
	keys.str("project-at", c.ProjectAt)
	keys.str("user", c.User)
	keys.list("publish", c.Publish)
	keys.list("cmd", c.Cmd)
	if keys.Len() > 0 {
		t.header(name, "config")
		t.Write(keys.Bytes())
	}
	if len(c.Env) > 0 {
		t.header(name, "config", "env")
		t.strs(c.Env)
	}
}

func (t *tomlWriter) image(name string, im *ImagePin) {
	t.header(name, "image")
	t.str("ref", im.Ref)
	t.str("index", im.Index)
	t.str("manifest", im.Manifest)
	for _, l := range im.Layers { // in the order of the image, bottom first
		t.element(name, "image", "layers")
		t.str("digest", l.Digest)
		t.str("diff-id", l.DiffID)
		t.num("size", l.Size)
		t.str("media-type", l.MediaType)
	}
}

func (t *tomlWriter) tool(name string, p ToolPin) {
	fmt.Fprintf(t, "%s = { version = %s, from = %s", quoteKey(name), quoteTOML(p.Version), quoteTOML(p.From))
	for _, k := range slices.Sorted(maps.Keys(p.Facts)) {
		fmt.Fprintf(t, ", %s = %s", quoteKey(k), quoteTOML(p.Facts[k]))
	}
	t.WriteString(" }\n")
}

func (t *tomlWriter) pins(name string, s *Section) {
	for _, d := range sortedDebs(s.Debs) {
		t.element(name, "deb")
		t.str("name", d.Name)
		t.str("version", d.Version)
		t.str("arch", d.Arch)
		t.str("archive", d.Archive)
		t.str("path", d.Path)
		t.num("size", d.Size)
		t.str("sha256", d.SHA256)
		t.str("layer", d.Layer)
	}
	for _, w := range sortedWheels(s.Wheels) {
		t.element(name, "wheel")
		t.str("name", w.Name)
		t.str("version", w.Version)
		t.str("file", w.File)
		if w.Size != 0 {
			t.num("size", w.Size)
		}
		t.str("sha256", w.SHA256)
		t.str("index", w.Index)
		t.str("from", w.From)
	}
	for _, f := range sortedFiles(s.Interpreters) {
		t.element(name, "interpreter")
		t.str("name", f.Name)
		t.str("file", f.File)
		t.str("url", f.URL)
		t.num("size", f.Size)
		t.str("sha256", f.SHA256)
	}
	for _, f := range sortedFetches(s.Fetches) {
		t.element(name, "fetch")
		t.str("to", f.To)
		t.str("url", f.URL)
		t.num("size", f.Size)
		t.str("sha256", f.SHA256)
		if f.Unpack {
			t.WriteString("unpack = true\n")
		}
		if f.Mode != 0 {
			fmt.Fprintf(t, "mode = \"%04o\"\n", f.Mode)
		}
	}
}

// steps are in the order in which they run.
func (t *tomlWriter) steps(name string, steps []StepPin) {
	for _, s := range steps {
		t.element(name, "step")
		t.str("run", s.Run)
		t.list("args", s.Args)
		t.str("workdir", s.Workdir)
		if s.Network {
			t.WriteString("network = true\n")
		}
		if len(s.Env) > 0 {
			t.header(name, "step", "env")
			t.strs(s.Env)
		}
		if len(s.Inputs) > 0 {
			t.header(name, "step", "inputs")
			t.strs(s.Inputs)
		}
	}
}

func sortedDebs(v []DebPin) []DebPin {
	return sortedBy(v, func(d DebPin) []string { return []string{d.Name, d.Arch, d.Version, d.Layer, d.Path} })
}
func sortedWheels(v []WheelPin) []WheelPin {
	return sortedBy(v, func(w WheelPin) []string { return []string{w.Name, w.Version, w.File, w.From} })
}
func sortedFiles(v []FilePin) []FilePin {
	return sortedBy(v, func(f FilePin) []string { return []string{f.Name, f.File, f.SHA256} })
}
func sortedFetches(v []FetchPin) []FetchPin {
	return sortedBy(v, func(f FetchPin) []string { return []string{f.To, f.URL, f.SHA256} })
}

func sortedBy[T any](v []T, key func(T) []string) []T {
	out := slices.Clone(v)
	slices.SortStableFunc(out, func(a, b T) int { return slices.Compare(key(a), key(b)) })
	return out
}

func listTOML(v []string) string {
	q := make([]string, len(v))
	for i, s := range v {
		q[i] = quoteTOML(s)
	}
	return "[" + strings.Join(q, ", ") + "]"
}

func quoteKey(k string) string {
	for i := range len(k) {
		if !isBareKey(k[i]) {
			return quoteTOML(k)
		}
	}
	if k == "" {
		return `""`
	}
	return k
}

// quoteTOML writes a TOML string: a literal one where that reads better, else a basic one.
func quoteTOML(s string) string {
	plain := utf8.ValidString(s)
	for _, r := range s {
		plain = plain && r >= ' ' && r != 0x7f
	}
	if plain && strings.ContainsAny(s, `"\`) && !strings.Contains(s, "'") {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == utf8.RuneError:
			_, n := utf8.DecodeRuneInString(s[i:])
			b.WriteString(s[i : i+n]) // what is not UTF-8 stays so, and reading refuses it
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			b.WriteString(`\u` + fmt.Sprintf("%04X", r))
		default:
			b.WriteString(string(r))
		}
	}
	b.WriteByte('"')
	return b.String()
}

var _ io.WriterTo = (*Lock)(nil)
