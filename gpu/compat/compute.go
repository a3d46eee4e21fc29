package compat

import (
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// code is one architecture that a build has code for.
type code struct {
	CC gpu.CC
	// sass is machine code: it runs on its own major version, from its own minor version on.
	// ptx is an intermediate form: the driver compiles it for any newer GPU, if it knows that form.
	// jit is a compiler that comes with the build and needs no help of the driver.
	sass, ptx, jit bool
	// exact is code such as sm_90a, which runs on that one chip; family such as sm_100f, which runs on
	// that major version as ordinary code does.
	exact bool
}

// parseCode reads "8.6", "9.0+PTX", "9.0a", "10.0f", "sm_86", "compute_80", "7.5+JIT".
func parseCode(s string) (code, bool) {
	s = strings.TrimSpace(s)
	if len(s) > longest {
		return code{}, false
	}
	c := code{sass: true}
	low := strings.ToLower(s)
	switch {
	case strings.HasSuffix(low, "+ptx"):
		c.ptx, low = true, strings.TrimSuffix(low, "+ptx")
	case strings.HasSuffix(low, "+jit"):
		c.jit, low = true, strings.TrimSuffix(low, "+jit")
	}
	packed := false
	if rest, ok := strings.CutPrefix(low, "sm_"); ok {
		low, packed = rest, true
	} else if rest, ok := strings.CutPrefix(low, "compute_"); ok {
		low, packed = rest, true
		c.sass, c.ptx = false, true
	}
	if rest, ok := strings.CutSuffix(low, "a"); ok {
		c.exact, low = true, rest
	} else {
		low = strings.TrimSuffix(low, "f")
	}
	if packed && !strings.Contains(low, ".") && len(low) >= 2 {
		low = low[:len(low)-1] + "." + low[len(low)-1:] // sm_100 is 10.0
	}
	major, minor, dotted := strings.Cut(low, ".")
	a, err := strconv.ParseUint(major, 10, 8)
	if err != nil || a == 0 {
		return code{}, false
	}
	var b uint64
	if dotted {
		if b, err = strconv.ParseUint(minor, 10, 4); err != nil || b > 9 {
			return code{}, false
		}
	}
	c.CC = gpu.CC{int(a), int(b)}
	return c, true
}

func parseCodes(list []string) []code {
	var out []code
	for _, s := range list {
		if c, ok := parseCode(s); ok {
			out = append(out, c)
		}
	}
	return out
}

// verdict is how a build runs on a GPU.
type verdict int

const (
	noCode  verdict = iota // nothing in it runs there
	oldPTX                 // only through an intermediate form that this driver does not know yet
	runsPTX                // compiled by the driver at the first start
	runs
)

// run tells how code for list runs on cc; ptx says that the driver knows the build's CUDA version, which
// is what compiling its intermediate code takes (the driver fails with error 222 otherwise).
func run(list []code, cc gpu.CC, ptx bool) verdict {
	best := noCode
	for _, c := range list {
		v := noCode
		switch {
		case c.exact:
			if c.sass && cc == c.CC {
				v = runs
			}
		case c.sass && c.CC[0] == cc[0] && c.CC[1] <= cc[1], c.jit && !cc.Less(c.CC):
			v = runs
		case c.ptx && !cc.Less(c.CC):
			v = oldPTX
			if ptx {
				v = runsPTX
			}
		}
		best = max(best, v)
	}
	return best
}
