package deb

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"
)

// index is one Packages file. A suite has 60,000 packages of which a base needs 100, so the text
// stays as it is and a paragraph is taken apart when somebody asks for it.
type index struct {
	archive string // "Debian/trixie/main"
	arch    string
	text    string
	paras   []para
	next    []int32            // another package of the same name, -1 = none
	first   map[string]int32   // name → paragraph
	offered map[string][]int32 // virtual name → paragraphs
	base    []int32            // Essential or Priority required

	mu     sync.Mutex
	parsed map[int32]*Package
}

type para struct{ start, end int32 }

// newIndex finds the paragraphs of text, their names and what they provide.
func newIndex(archive, arch, text string) (*index, error) {
	if len(text) > maxIndex {
		return nil, fmt.Errorf("%d bytes are too many", len(text))
	}
	x := &index{
		archive: archive, arch: arch, text: text,
		first: make(map[string]int32, len(text)/1000), offered: map[string][]int32{}, parsed: map[int32]*Package{},
	}
	start := 0
	var name, provides string
	var base bool
	field := ""
	end := func(at int) {
		if name != "" {
			x.add(name, provides, base, para{int32(start), int32(at)})
		}
		name, provides, base, field = "", "", false, ""
	}
	for pos := 0; pos < len(text); {
		stop := strings.IndexByte(text[pos:], '\n')
		line, after := text[pos:], len(text)
		if stop >= 0 {
			line, after = text[pos:pos+stop], pos+stop+1
		}
		switch {
		case line == "" || strings.TrimSpace(line) == "":
			end(pos)
			start = after
		case line[0] == ' ' || line[0] == '\t':
			if field == "Provides" {
				provides += " " + line
			}
		case line[0] == 'P' || line[0] == 'E':
			var v string
			field, v, _ = strings.Cut(line, ":")
			switch v = strings.TrimSpace(v); field {
			case "Package":
				name = v
			case "Provides":
				provides = v
			case "Priority":
				base = base || v == "required"
			case "Essential":
				base = base || v == "yes"
			}
		default:
			field = ""
		}
		pos = after
	}
	end(len(text))
	return x, nil
}

func (x *index) add(name, provides string, base bool, p para) {
	i := int32(len(x.paras))
	x.paras = append(x.paras, p)
	after, ok := x.first[name]
	if !ok {
		after = -1
	}
	x.next = append(x.next, after)
	x.first[name] = i
	if base {
		x.base = append(x.base, i)
	}
	for provides != "" {
		var one string
		one, provides, _ = strings.Cut(provides, ",")
		one = strings.TrimSpace(one)
		if j := strings.IndexAny(one, " (:\t"); j >= 0 {
			one = one[:j]
		}
		if one != "" {
			x.offered[one] = append(x.offered[one], i)
		}
	}
}

// named returns the versions of one package, providers those that provide the name.
func (x *index) named(name string) (out []*Package, err error) {
	i, ok := x.first[name]
	if !ok {
		return nil, nil
	}
	for ; i >= 0; i = x.next[i] {
		if out, err = x.append(out, i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (x *index) providers(name string) (out []*Package, err error) {
	for _, i := range x.offered[name] {
		if out, err = x.append(out, i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (x *index) required() (out []*Package, err error) {
	for _, i := range x.base {
		if out, err = x.append(out, i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// append parses paragraph i and adds it unless it is for another architecture.
func (x *index) append(out []*Package, i int32) ([]*Package, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.parsed[i]
	if p == nil {
		var err error
		if p, err = parsePackage(x.text[x.paras[i].start:x.paras[i].end], x.archive); err != nil {
			return nil, fmt.Errorf("%s: %w", x.archive, err)
		}
		x.parsed[i] = p
	}
	if p.Arch != x.arch && p.Arch != "all" {
		return out, nil
	}
	return append(out, p), nil
}

// Package is one version of one package, as its archive describes it.
type Package struct {
	Pin
	Priority  string
	Section   string
	MultiArch string
	Essential bool

	PreDepends, Depends, Recommends []Alternatives
	Provides, Conflicts, Breaks     []Alternatives // of one alternative each
}

// Pin is a .deb by what it is, not by where it lies: Archive is "Origin/Suite/Component", Path is
// below the archive's root, whichever mirror serves it.
type Pin struct {
	Name, Version, Arch string
	Archive             string
	Path                string
	Size                int64  // bytes
	SHA256              string // 64 hex digits
}

// FileName is the usual name of the .deb, in which the colon of an epoch is written %3a.
func (p Pin) FileName() string {
	return p.Name + "_" + strings.ReplaceAll(p.Version, ":", "%3a") + "_" + p.Arch + ".deb"
}

// Check refuses a pin that cannot be real or would be unsafe as part of a path.
func (p Pin) Check() error {
	if err := p.checkNames(); err != nil {
		return err
	}
	if !isSHA256(p.SHA256) {
		return fmt.Errorf("package %s: no SHA256 sum", p.Name)
	}
	if p.Size <= 0 || p.Size > 64<<30 {
		return fmt.Errorf("package %s: bad size %d", p.Name, p.Size)
	}
	clean := path.Clean("/" + p.Path)
	if p.Path == "" || clean != "/"+p.Path || strings.ContainsAny(p.Path, "\\?#\x00\n\r") {
		return fmt.Errorf("package %s: bad path %q", p.Name, p.Path)
	}
	return nil
}

func (p Pin) checkNames() error {
	if err := checkName(p.Name); err != nil {
		return err
	}
	if err := checkVersion(p.Version); err != nil {
		return fmt.Errorf("package %s: %w", p.Name, err)
	}
	if err := checkName(p.Arch); err != nil {
		return fmt.Errorf("package %s: architecture: %w", p.Name, err)
	}
	return nil
}

func parsePackage(text, archive string) (*Package, error) {
	paras, err := parseControl(text)
	if err != nil {
		return nil, err
	}
	if len(paras) != 1 {
		return nil, fmt.Errorf("%d paragraphs instead of one", len(paras))
	}
	f := paras[0]
	p, err := newPackage(f)
	if err != nil {
		return nil, err
	}
	p.Archive, p.Path, p.SHA256 = archive, strings.TrimPrefix(f["filename"], "./"), f["sha256"]
	if p.Size, err = strconv.ParseInt(f["size"], 10, 64); err != nil {
		return nil, fmt.Errorf("package %s: bad size %q", p.Name, f["size"])
	}
	return p, p.Check()
}

// newPackage takes what an index and a control file have in common.
func newPackage(f paragraph) (*Package, error) {
	p := &Package{
		Pin:      Pin{Name: f["package"], Version: f["version"], Arch: f["architecture"]},
		Priority: f["priority"], Section: f["section"], MultiArch: f["multi-arch"], Essential: f["essential"] == "yes",
	}
	if err := p.checkNames(); err != nil {
		return nil, err
	}
	for field, to := range map[string]*[]Alternatives{
		"pre-depends": &p.PreDepends, "depends": &p.Depends, "recommends": &p.Recommends,
		"provides": &p.Provides, "conflicts": &p.Conflicts, "breaks": &p.Breaks,
	} {
		var err error
		if *to, err = ParseRelations(f[field]); err != nil {
			return nil, fmt.Errorf("package %s: %s: %w", p.Name, field, err)
		}
	}
	return p, nil
}
