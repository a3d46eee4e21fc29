package wheel

import (
	"fmt"
	"strings"
)

// Specifier is a set of version conditions, ">=3.8,<4": all must hold. Use [ParseSpecifier].
type Specifier []clause

type clause struct {
	op, text string
	v        Version
	wild     bool // ==1.2.*
}

// operators, longest first so that a prefix does not hide one.
var operators = []string{"===", "~=", "==", "!=", "<=", ">=", "<", ">"}

// ParseSpecifier reads conditions as Requires-Python has them; the empty string allows everything.
func ParseSpecifier(s string) (Specifier, error) {
	var out Specifier
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		c, err := parseClause(part)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func parseClause(part string) (clause, error) {
	for _, op := range operators {
		rest, ok := strings.CutPrefix(part, op)
		if !ok {
			continue
		}
		c := clause{op: op, text: strings.TrimSpace(rest)}
		if op == "===" {
			return c, nil
		}
		t := c.text
		if op == "==" || op == "!=" {
			t, c.wild = strings.CutSuffix(t, ".*")
		}
		v, err := ParseVersion(t)
		if err != nil {
			return c, err
		}
		if op == "~=" && len(v.release) < 2 {
			return c, fmt.Errorf("~= needs two numbers: %q", part)
		}
		c.v = v
		return c, nil
	}
	return clause{}, fmt.Errorf("not a version condition: %q", part)
}

// Allows says whether v satisfies all conditions. Prereleases are not left out here.
func (s Specifier) Allows(v Version) bool {
	for _, c := range s {
		if !c.allows(v) {
			return false
		}
	}
	return true
}

func (c clause) allows(v Version) bool {
	switch c.op {
	case "===":
		norm := v.Public()
		if l := v.Local(); l != "" {
			norm += "+" + l
		}
		return strings.EqualFold(c.text, v.text) || strings.EqualFold(c.text, norm)
	case "==":
		return c.equal(v)
	case "!=":
		return !c.equal(v)
	case "<=":
		return v.comparePublic(c.v) <= 0
	case ">=":
		return v.comparePublic(c.v) >= 0
	case "<": // <3.1 leaves out 3.1rc1 as well
		if v.comparePublic(c.v) >= 0 {
			return false
		}
		return c.v.Prerelease() || !v.Prerelease() || v.epoch != c.v.epoch || compareRelease(v.release, c.v.release) != 0
	case ">": // >1.7 leaves out 1.7.post1 and 1.7+local
		if v.comparePublic(c.v) <= 0 {
			return false
		}
		return c.v.post >= 0 || v.post < 0 || v.epoch != c.v.epoch || compareRelease(v.release, c.v.release) != 0
	case "~=":
		return v.comparePublic(c.v) >= 0 && v.hasPrefix(c.v.epoch, c.v.release[:len(c.v.release)-1])
	}
	return false
}

func (c clause) equal(v Version) bool {
	if c.wild {
		return v.hasPrefix(c.v.epoch, c.v.release)
	}
	if len(c.v.local) == 0 { // ==2.5.1 takes 2.5.1+cpu
		return v.comparePublic(c.v) == 0
	}
	return v.Compare(c.v) == 0
}

func (v Version) hasPrefix(epoch uint64, release []uint64) bool {
	if v.epoch != epoch {
		return false
	}
	for i, n := range release {
		var x uint64
		if i < len(v.release) {
			x = v.release[i]
		}
		if x != n {
			return false
		}
	}
	return true
}
