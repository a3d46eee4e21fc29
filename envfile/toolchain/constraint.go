package toolchain

import (
	"fmt"
	"slices"
	"strings"
)

// Constraint is what a claim says of a version: a prefix ("3.11" is any 3.11.x, "2.5.1" also
// 2.5.1+cu124), an exact version ("==2.5.1"), a range (">=2.1,<3"), or "auto".
type Constraint struct {
	text  string
	parts []part // empty: auto
}

type part struct {
	op string // "" prefix, "==", "!=", ">=", "<=", ">", "<", "~="
	v  Version
}

// ParseConstraint reads a claim's value.
func ParseConstraint(s string) (Constraint, error) {
	c := Constraint{text: strings.TrimSpace(s)}
	if c.text == "auto" {
		return c, nil
	}
	for p := range strings.SplitSeq(c.text, ",") {
		p = strings.TrimSpace(p)
		op := ""
		for _, o := range []string{"===", "==", "!=", ">=", "<=", "~=", ">", "<", "="} {
			if rest, ok := strings.CutPrefix(p, o); ok {
				op, p = o, strings.TrimSpace(rest)
				break
			}
		}
		if op == "===" || op == "=" {
			op = "=="
		}
		if rest, ok := strings.CutSuffix(p, ".*"); ok && (op == "==" || op == "") {
			op, p = "", rest
		}
		v, err := ParseVersion(p)
		if err != nil {
			return Constraint{}, fmt.Errorf(`not a version, a range or "auto": %.100q`, s)
		}
		if op == "~=" && len(v.Release) < 2 {
			return Constraint{}, fmt.Errorf(`"~=" needs two numbers: %.100q`, s)
		}
		c.parts = append(c.parts, part{op, v})
	}
	return c, nil
}

// String is the constraint as it was written.
func (c Constraint) String() string { return c.text }

// Auto reports whether any version will do.
func (c Constraint) Auto() bool { return len(c.parts) == 0 }

// Match reports whether a version satisfies the constraint. What is no version satisfies only "auto".
func (c Constraint) Match(version string) bool {
	if c.Auto() {
		return version != ""
	}
	v, err := ParseVersion(version)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(c.parts, func(p part) bool { return !p.match(v) })
}

func (p part) match(v Version) bool {
	if p.v.Local != "" && p.v.Local != v.Local && (p.op == "" || p.op == "==") {
		return false
	}
	cmp := v.Compare(p.v)
	switch p.op {
	case "":
		return v.hasPrefix(p.v.Release) && (p.v.Pre == "" || p.v.Pre == v.Pre)
	case "==":
		return cmp == 0
	case "!=":
		return cmp != 0
	case ">=":
		return cmp >= 0
	case "<=":
		return cmp <= 0
	case ">":
		return cmp > 0
	case "<":
		return cmp < 0
	default: // ~=2.5.1 is at least 2.5.1 and any 2.5
		return cmp >= 0 && v.hasPrefix(p.v.Release[:len(p.v.Release)-1])
	}
}

// requirement writes the constraint behind a Python distribution's name. full is how many numbers a
// whole version of it has: with fewer, any that begins with them will do.
func (c Constraint) requirement(dist string, full int) string {
	out := make([]string, len(c.parts))
	for i, p := range c.parts {
		v := p.v.numbers(len(p.v.Release)) + p.v.Pre
		if p.v.Local != "" {
			v += "+" + p.v.Local
		}
		switch {
		case p.op == "" && len(p.v.Release) < full && p.v.Pre == "" && p.v.Local == "":
			out[i] = "==" + v + ".*"
		case p.op == "":
			out[i] = "==" + v
		default:
			out[i] = p.op + v
		}
	}
	return dist + strings.Join(out, ",")
}

// exact is the one version that the constraint names, at least its first numbers; false for ranges.
func (c Constraint) exact() (Version, bool) {
	if len(c.parts) == 1 && (c.parts[0].op == "" || c.parts[0].op == "==") {
		return c.parts[0].v, true
	}
	return Version{}, false
}
