package deb

import (
	"fmt"
	"strings"
)

// Relation is one package name in Depends, Conflicts or Provides, with what it asks of the version.
type Relation struct {
	Name    string
	Arch    string // "", "any", "native" or an architecture
	Op      string // "", "=", ">=", "<=", ">>", "<<"
	Version string
}

// String is the relation as in a control file.
func (r Relation) String() string {
	s := r.Name
	if r.Arch != "" {
		s += ":" + r.Arch
	}
	if r.Op != "" {
		s += " (" + r.Op + " " + r.Version + ")"
	}
	return s
}

// Alternatives is "a | b": one of them is enough.
type Alternatives []Relation

// String is the group as in a control file.
func (a Alternatives) String() string {
	s := make([]string, len(a))
	for i, r := range a {
		s[i] = r.String()
	}
	return strings.Join(s, " | ")
}

// maxRelations bounds one field; the longest real ones have a few hundred.
const maxRelations = 20_000

// ParseRelations reads the value of a field such as Depends. Restrictions to architectures and
// build profiles, which only source packages have, are passed over.
func ParseRelations(s string) ([]Alternatives, error) {
	var out []Alternatives
	for group := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(group) == "" {
			continue
		}
		var alts Alternatives
		for one := range strings.SplitSeq(group, "|") {
			r, err := parseRelation(one)
			if err != nil {
				return nil, err
			}
			alts = append(alts, r)
		}
		if out = append(out, alts); len(out) > maxRelations {
			return nil, fmt.Errorf("more than %d relations", maxRelations)
		}
	}
	return out, nil
}

func parseRelation(s string) (Relation, error) {
	var r Relation
	whole := strings.TrimSpace(s)
	bad := func(why error) (Relation, error) {
		if why != nil {
			return r, fmt.Errorf("bad relation %q: %w", whole, why)
		}
		return r, fmt.Errorf("bad relation %q", whole)
	}
	name, ver, tail := whole, "", ""
	if i := strings.IndexAny(whole, "([<"); i >= 0 && whole[i] == '(' {
		var closed bool
		name = whole[:i]
		if ver, tail, closed = strings.Cut(whole[i+1:], ")"); !closed {
			return bad(nil)
		}
		ver = strings.TrimSpace(ver)
		n := len(ver) - len(strings.TrimLeft(ver, "<>="))
		r.Op, r.Version = ver[:n], strings.TrimSpace(ver[n:])
		switch r.Op {
		case "=", ">=", "<=", ">>", "<<", "<", ">":
		default:
			return bad(nil)
		}
		if err := checkVersion(r.Version); err != nil {
			return bad(err)
		}
	} else if i >= 0 {
		name, tail = whole[:i], whole[i:]
	}
	if tail = strings.TrimSpace(tail); tail != "" && tail[0] != '[' && tail[0] != '<' {
		return bad(nil)
	}
	r.Name, r.Arch, _ = strings.Cut(strings.TrimSpace(name), ":")
	if err := checkName(r.Name); err != nil {
		return bad(err)
	}
	return r, nil
}
