package envfile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Digest is the environment's digest: "sha256:…" over the layer format, the epoch, and the pins and
// configuration of one section. Two locks with one digest build the same bytes. What the pins were
// made from (Inputs), what they came out as (Built) and which tool reads them are not part of it.
// A section that the lock does not have has the digest "".
func (l *Lock) Digest(section string) string {
	s := l.Sections[section]
	if s == nil {
		return ""
	}
	h := sha256.Sum256(l.canonical(s))
	return "sha256:" + hex.EncodeToString(h[:])
}

// canonical is a form of its own and not the lock's text, so that the text's shape may change without
// changing digests. Every value is quoted and empty ones are left out, so that a new kind of pin
// changes no digest of a lock that has none.
func (l *Lock) canonical(s *Section) []byte {
	c := canonWriter("sandbox environment 1\n")
	c.add("layer-format", strconv.Itoa(l.LayerFormat))
	c.add("epoch", strconv.FormatInt(l.Epoch, 10))
	c.add("config", "name", s.Config.Name, "project-at", s.Config.ProjectAt, "user", s.Config.User)
	c.addMap("config.env", s.Config.Env)
	c.addList("config.publish", s.Config.Publish)
	c.addList("config.cmd", s.Config.Cmd)
	c.add("image", "ref", s.Image.Ref, "index", s.Image.Index, "manifest", s.Image.Manifest)
	for _, p := range s.Image.Layers {
		c.add("image.layer", "digest", p.Digest, "diff-id", p.DiffID, "size", sizeText(p.Size), "media-type", p.MediaType)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Toolchain)) {
		p := s.Toolchain[name]
		c.add("toolchain", "name", name, "version", p.Version, "from", p.From)
		c.addMap("toolchain.fact", p.Facts)
	}
	for _, p := range sortedDebs(s.Debs) {
		c.add("deb", "name", p.Name, "version", p.Version, "arch", p.Arch, "archive", p.Archive, "path", p.Path,
			"size", sizeText(p.Size), "sha256", p.SHA256, "layer", p.Layer)
	}
	for _, p := range sortedWheels(s.Wheels) {
		c.add("wheel", "name", p.Name, "version", p.Version, "file", p.File, "size", sizeText(p.Size),
			"sha256", p.SHA256, "index", p.Index, "from", p.From)
	}
	for _, p := range sortedFiles(s.Interpreters) {
		c.add("interpreter", "name", p.Name, "file", p.File, "url", p.URL, "size", sizeText(p.Size), "sha256", p.SHA256)
	}
	for _, p := range sortedFetches(s.Fetches) {
		c.add("fetch", "to", p.To, "url", p.URL, "size", sizeText(p.Size), "sha256", p.SHA256,
			"unpack", strconv.FormatBool(p.Unpack), "mode", strconv.FormatUint(uint64(p.Mode), 8))
	}
	for i, p := range s.Steps {
		c.add("step", "n", strconv.Itoa(i), "run", p.Run, "workdir", p.Workdir, "network", onlyTrue(p.Network))
		c.addList("step.arg", p.Args)
		c.addMap("step.env", p.Env)
		c.addMap("step.input", p.Inputs)
	}
	return c
}

type canonWriter []byte

// add writes one line: what it is, then names and values in turn.
func (c *canonWriter) add(what string, pairs ...string) {
	if len(pairs) == 1 {
		*c = fmt.Appendf(*c, "%s=%s\n", what, canon(pairs[0]))
		return
	}
	*c = append(*c, what...)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			*c = fmt.Appendf(*c, " %s=%s", pairs[i], canon(pairs[i+1]))
		}
	}
	*c = append(*c, '\n')
}

func (c *canonWriter) addMap(what string, m map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		*c = fmt.Appendf(*c, "%s %s=%s\n", what, canon(k), canon(m[k]))
	}
}

func (c *canonWriter) addList(what string, v []string) {
	for _, s := range v {
		*c = fmt.Appendf(*c, "%s %s\n", what, canon(s))
	}
}

func sizeText(n int64) string { return strconv.FormatInt(n, 10) }

// canon quotes a value in ASCII: what counts as printable beyond it changes with each Unicode
// version.
func canon(s string) string { return strconv.QuoteToASCII(s) }
