package gpu

import (
	"errors"
	"strconv"
	"strings"
)

// A ccTerm is one condition on a compute capability.
type ccTerm struct {
	op string
	cc CC
}

var ccOps = []string{"==", ">=", "<=", "!=", "~=", ">", "<", "="}

// maxCC bounds how many conditions there are.
const maxCC = 16

// parseCC reads ">=8.0,<10.0". A capability alone is the least that will do, as in the env file.
func parseCC(s string) ([]ccTerm, error) {
	want := errors.New("wants a compute capability such as >=8.0")
	var out []ccTerm
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		t := ccTerm{op: ">="}
		for _, op := range ccOps {
			if rest, ok := strings.CutPrefix(part, op); ok {
				t.op, part = op, strings.TrimSpace(rest)
				break
			}
		}
		if t.op == "=" {
			t.op = "=="
		}
		major, minor, _ := strings.Cut(part, ".")
		if !strings.Contains(part, ".") {
			minor = "0"
		}
		a, errA := strconv.ParseUint(major, 10, 8)
		b, errB := strconv.ParseUint(minor, 10, 8)
		if errA != nil || errB != nil || len(out) == maxCC {
			return nil, want
		}
		t.cc = CC{int(a), int(b)}
		out = append(out, t)
	}
	return out, nil
}

func formatCC(terms []ccTerm) string {
	var parts []string
	for _, t := range terms {
		parts = append(parts, t.op+t.cc.String())
	}
	return strings.Join(parts, ",")
}

func (t ccTerm) holds(c CC) bool {
	switch t.op {
	case "==":
		return c == t.cc
	case "!=":
		return c != t.cc
	case ">=":
		return !c.Less(t.cc)
	case "<=":
		return !t.cc.Less(c)
	case ">":
		return t.cc.Less(c)
	case "<":
		return c.Less(t.cc)
	}
	return !c.Less(t.cc) && c[0] == t.cc[0] // ~=8.6: 8.6 and later ones of the same major
}
