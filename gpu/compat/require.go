package compat

import (
	"errors"
	"fmt"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// Bounds of a requirement; NVIDIA's own images have about 7 kB and 100 alternatives.
const (
	maxRequire      = 64 << 10
	maxAlternatives = 4096
)

// Expr is one NVIDIA_REQUIRE_* expression: alternatives divided by spaces, each of conditions divided by
// commas. The zero value always holds.
type Expr struct {
	alternatives [][]condition
}

type condition struct {
	property, op, value string
}

func (c condition) String() string { return c.property + c.op + c.value }

// Facts are what requirements speak of. What is not known stays empty, and a condition on it is neither
// met nor missed.
type Facts struct {
	CUDA   gpu.Version // highest that the driver knows
	Driver string
	Arch   gpu.CC
	Brands []string // every name that the GPU's brand may go by: "tesla", "geforcertx"
}

// Verdict is what an expression comes to.
type Verdict int

// The order matters: an alternative is as good as its worst condition, an expression as its best
// alternative.
const (
	No Verdict = iota
	Unknown
	Yes
)

// String is "no", "unknown" or "yes".
func (v Verdict) String() string { return [...]string{"no", "unknown", "yes"}[v] }

// longer operators first, so that "<=" is not read as "<"
var operators = []string{"!=", "<=", ">=", "=", "<", ">"}

// ParseRequire reads an expression such as "cuda>=12.4 brand=tesla,driver>=470,driver<471". Conditions on
// properties other than cuda, driver, arch and brand are left out, as NVIDIA's own tools do; anything else
// that cannot be read is an error.
func ParseRequire(s string) (Expr, error) {
	if len(s) > maxRequire {
		return Expr{}, fmt.Errorf("requirement is too long: %d bytes", len(s))
	}
	var e Expr
	for alternative := range strings.FieldsSeq(s) {
		var all []condition
		for text := range strings.SplitSeq(alternative, ",") {
			c, known, err := parseCondition(text)
			if err != nil {
				return Expr{}, err
			}
			if known {
				all = append(all, c)
			}
		}
		if len(all) == 0 {
			continue
		}
		if e.alternatives = append(e.alternatives, all); len(e.alternatives) > maxAlternatives {
			return Expr{}, errors.New("requirement has too many alternatives")
		}
	}
	return e, nil
}

func parseCondition(s string) (c condition, known bool, err error) {
	if s == "" {
		return condition{}, false, nil
	}
	i := strings.IndexAny(s, "<>=!")
	if i < 0 {
		return condition{}, false, fmt.Errorf("not a condition: %.60q", s)
	}
	c.property, s = s[:i], s[i:]
	for _, op := range operators {
		if strings.HasPrefix(s, op) {
			c.op, c.value = op, s[len(op):]
			break
		}
	}
	if c.op == "" {
		return condition{}, false, fmt.Errorf("not an operator: %.60q", s)
	}
	switch c.property {
	case "cuda", "driver", "arch":
		if !isVersion(c.value) {
			return condition{}, false, fmt.Errorf("not a version of %s: %.60q", c.property, c.value)
		}
	case "brand":
		if c.value == "" || len(c.value) > longest {
			return condition{}, false, fmt.Errorf("not a brand: %.60q", c.value)
		}
	default:
		return condition{}, false, nil
	}
	return c, true, nil
}

// isVersion wants numbers and points only.
func isVersion(s string) bool {
	if s == "" || len(s) > longest || strings.Trim(s, "0123456789.") != "" {
		return false
	}
	for p := range strings.SplitSeq(s, ".") {
		if p == "" || len(p) > 9 {
			return false
		}
	}
	return true
}

// String is the expression as it was written, without what was left out.
func (e Expr) String() string {
	var out []string
	for _, a := range e.alternatives {
		out = append(out, join(a))
	}
	return strings.Join(out, " ")
}

func join(all []condition) string {
	var out []string
	for _, c := range all {
		out = append(out, c.String())
	}
	return strings.Join(out, ",")
}

// Eval says whether the expression holds.
func (e Expr) Eval(f Facts) Verdict {
	if len(e.alternatives) == 0 {
		return Yes
	}
	best := No
	for _, a := range e.alternatives {
		worst := Yes
		for _, c := range a {
			worst = min(worst, c.eval(f))
		}
		best = max(best, worst)
	}
	return best
}

func (c condition) eval(f Facts) Verdict {
	var have string
	switch c.property {
	case "brand":
		return c.brand(f.Brands)
	case "cuda":
		if f.CUDA.Known() {
			have = f.CUDA.String()
		}
	case "driver":
		have = f.Driver
	case "arch":
		if f.Arch != (gpu.CC{}) {
			have = f.Arch.String()
		}
	}
	x, ok := numbers(have)
	if !ok {
		return Unknown
	}
	y, _ := numbers(c.value)
	d := compare(x, y)
	return truth(map[string]bool{"=": d == 0, "!=": d != 0, "<": d < 0, "<=": d <= 0, ">": d > 0, ">=": d >= 0}[c.op])
}

func (c condition) brand(brands []string) Verdict {
	if len(brands) == 0 || c.op != "=" && c.op != "!=" {
		return Unknown
	}
	is := false
	for _, b := range brands {
		is = is || strings.EqualFold(b, c.value)
	}
	return truth(is == (c.op == "="))
}

func truth(b bool) Verdict {
	if b {
		return Yes
	}
	return No
}
