package toolchain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// RefusedError says which claims cannot be met.
type RefusedError struct{ Steps []Step }

func (e *RefusedError) Error() string {
	var lines []string
	for _, s := range e.Steps {
		lines = append(lines, fmt.Sprintf("%s %s cannot be had here: %s", s.Tool, s.Want, s.Reason))
	}
	return strings.Join(lines, "\n")
}

// Hint names what is nearest.
func (e *RefusedError) Hint() string {
	var near []string
	for _, s := range e.Steps {
		if len(s.Nearest) > 0 {
			near = append(near, "nearest: "+strings.Join(s.Nearest, ", or "))
		}
	}
	return strings.Join(near, "\n")
}

// Refusals gives the refused steps as one error, nil if there are none.
func Refusals(steps []Step) error {
	var e RefusedError
	for _, s := range steps {
		if s.Kind == Refused && s.With == "" {
			e.Steps = append(e.Steps, s)
		}
	}
	if len(e.Steps) == 0 {
		return nil
	}
	return &e
}

// why begins a reason with what the base has.
func (p *planner) why(t Tool) string {
	if v := p.Found.Has(t.Name); v != "" {
		return "the base has " + v
	}
	return "the base has none"
}

func joinWhy(parts ...string) string {
	var out []string
	for _, s := range parts {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, "; ")
}

// offer is a version that could be had instead.
type offer struct {
	version Version
	text    string // as one would write it in the env file, with where it is from
	cuda    string // what it is built for, "" where that does not matter
}

const mostNearest = 3

// nearest lists what works instead of a claim: the same version with another CUDA, the same minor,
// newer, older; never what the driver here cannot run.
func (p *planner) nearest(t Tool) []string {
	want, single := p.want[t.Name].exact()
	if t.Rides {
		// The framework's version is kept and another CUDA taken, before anything else moves.
		want, single = p.want["pytorch"].exact()
	}
	offers := p.offers(t)
	offers = slices.DeleteFunc(offers, func(o offer) bool { return o.cuda != "" && p.Runs != nil && !p.Runs(o.cuda) })
	slices.SortStableFunc(offers, func(a, b offer) int {
		if !single {
			return b.version.Compare(a.version) // newest first
		}
		ra, rb := rank(want, a.version), rank(want, b.version)
		switch {
		case ra != rb:
			return cmp.Compare(ra, rb)
		case ra == rankOlder || ra == rankMinor:
			return b.version.Compare(a.version)
		}
		return a.version.Compare(b.version)
	})
	var out []string
	for _, o := range offers {
		if !slices.Contains(out, o.text) && len(out) < mostNearest {
			out = append(out, o.text)
		}
	}
	return out
}

const (
	rankSame = iota
	rankMinor
	rankNewer
	rankOlder
)

func rank(want, v Version) int {
	switch {
	case v.hasPrefix(want.Release):
		return rankSame
	case v.hasPrefix(want.Release[:min(2, len(want.Release))]):
		return rankMinor
	case v.Compare(want) > 0:
		return rankNewer
	}
	return rankOlder
}

func (p *planner) offers(t Tool) []offer {
	if t.Rides {
		return p.cudaOffers(t)
	}
	var out []offer
	add := func(version, from string) {
		if v, err := ParseVersion(version); err == nil {
			out = append(out, offer{version: v, text: fmt.Sprintf(`%s = "%s" (%s)`, t.Name, version, from)})
		}
	}
	add(p.Found.Has(t.Name), "the base has it")
	if _, v := p.candidate(t); v != "" && p.againstDebsWith(t, Constraint{text: "auto"}) == "" {
		add(v, "Debian's "+t.Debs[0])
	}
	if p.Index && p.Versions != nil && len(t.Dists) > 0 {
		for _, v := range p.Versions(t.Dists[0]) {
			add(v, "as a wheel")
		}
	}
	for _, v := range p.Interpreters {
		if t.Name == "python" {
			add(v, "a standalone build")
		}
	}
	for _, s := range suiteFacts() {
		if v := map[string]string{"python": s.python, "gcc": s.gcc}[t.Name]; v != "" && p.want[t.Name].Match(v) {
			out = append(out, offer{version: mustVersion(v), text: fmt.Sprintf(`base = "deb:%s" (its own %s is %s)`, s.suite, t.Name, v)})
		}
	}
	return out
}

// againstDebsWith asks whether the package would do under another claim.
func (p *planner) againstDebsWith(t Tool, c Constraint) string {
	old := p.want[t.Name]
	p.want[t.Name] = c
	defer func() { p.want[t.Name] = old }()
	return p.againstDebs(t)
}

// cudaOffers are frameworks with the CUDA they are built for: the base's, and wheels.
func (p *planner) cudaOffers(t Tool) []offer {
	var out []offer
	if have, err := ParseVersion(p.Found.Has(t.Name)); err == nil {
		v, _ := ParseVersion(p.Found.Has("pytorch"))
		out = append(out, offer{version: v, text: fmt.Sprintf(`%s = "%s" (the base has it)`, t.Name, have.numbers(2)), cuda: cudaOf(t, p.Found.Has(t.Name))})
	}
	if !p.Index {
		return out
	}
	for _, f := range torchFacts() {
		same := p.want["pytorch"].Match(f.torch)
		v := f.cuda
		if t.Name == "cudnn" {
			v = f.cudnn
		}
		fits := p.want[t.Name].Match(v)
		if t.Name == "nccl" || !same && !fits {
			continue
		}
		text := fmt.Sprintf(`pytorch = "%s" with %s = "%s"`, f.torch, t.Name, mustVersion(v).numbers(2))
		out = append(out, offer{version: mustVersion(f.torch), text: text, cuda: f.cuda})
	}
	return out
}

func cudaOf(t Tool, version string) string {
	if t.Name == "cuda" {
		return version
	}
	return ""
}
