package toolchain

import (
	"fmt"
	"slices"
	"strings"
)

// Pin is what a claim came out as, for the lock.
type Pin struct {
	Version string
	From    string            // "base", "deb", "wheel", "interpreter"
	Facts   map[string]string // of a framework: cuda, cudnn, nccl
}

// Locked is what was resolved on top of a base: names to versions.
type Locked struct {
	Debs        map[string]string
	Wheels      map[string]string // names normalised; without those that the base has
	Interpreter string            // version of a standalone Python, "" if there is none
}

// ClaimError is a claim that what was locked, or what was built, does not keep.
type ClaimError struct {
	Tool, Want string
	Have       string // "" if it is not there at all
	Why        string
	Nearest    []string
}

func (e *ClaimError) Error() string {
	s := fmt.Sprintf("%s %s was asked for", e.Tool, e.Want)
	if e.Why != "" {
		return s + ", but " + e.Why
	}
	if e.Have == "" {
		return s + ", but there is none"
	}
	return s + ", but it is " + e.Have
}

// Hint names what is nearest.
func (e *ClaimError) Hint() string {
	switch {
	case len(e.Nearest) > 0:
		return "nearest: " + strings.Join(e.Nearest, ", or ")
	case e.Have == "":
		return "drop the claim, or add what brings " + e.Tool
	}
	return fmt.Sprintf(`claim what is there: %s = "%s"`, e.Tool, e.Have)
}

// Settle checks the claims against what was locked on top of a base and gives the pins of the lock.
// Nothing has been fetched by then but metadata. Every claim that does not hold is one *ClaimError.
func Settle(claims map[string]string, have Evidence, l Locked) (map[string]Pin, []error) {
	p := &planner{Evidence: have, want: map[string]Constraint{}, done: map[string]*Step{}}
	var errs []error
	for name, text := range claims {
		p.want[name], _ = ParseConstraint(text)
	}
	out := map[string]Pin{}
	for _, t := range table() {
		want, claimed := claims[t.Name]
		if !claimed {
			continue
		}
		c, err := ParseConstraint(want)
		if err != nil {
			errs = append(errs, fmt.Errorf("toolchain.%s: %w", t.Name, err))
			continue
		}
		pin, says := p.settled(t, l)
		if !c.Match(pin.Version) && (says == "" || !c.Match(says)) {
			errs = append(errs, p.broken(t, pin, l))
			continue
		}
		if t.Framework {
			pin.Facts = p.facts(t, l)
		}
		out[t.Name] = pin
	}
	return out, errs
}

// settled is the version that a tool will have: what is installed last lies on top.
func (p *planner) settled(t Tool, l Locked) (pin Pin, says string) {
	if t.Name == "python" && l.Interpreter != "" {
		return Pin{Version: l.Interpreter, From: "interpreter"}, ""
	}
	for _, d := range t.Dists {
		if v := l.Wheels[d]; v != "" {
			return Pin{Version: v, From: "wheel"}, ""
		}
	}
	if torch := l.Wheels["torch"]; torch != "" && t.Rides {
		return Pin{Version: p.inside(t, torch), From: "wheel"}, ""
	}
	if len(t.Debs) > 0 && l.Debs[t.Debs[0]] != "" {
		return Pin{Version: Upstream(l.Debs[t.Debs[0]]), From: "deb"}, ""
	}
	list := p.Found.Counts(t)
	if s := p.want["pytorch"]; t.Rides && s.text != "" && len(p.Found.Tools["pytorch"]) > 0 {
		list = ofFramework(t, &Step{Tool: "pytorch"}, list)
	}
	if i := slices.IndexFunc(list, func(f Finding) bool { return f.matches(p.want[t.Name]) }); i >= 0 {
		return Pin{Version: list[i].Version, From: "base"}, list[i].Says
	}
	if len(list) > 0 {
		return Pin{Version: list[0].Version, From: "base"}, ""
	}
	return Pin{}, ""
}

// inside is what a torch wheel has in itself. Those of PyTorch's own index say it in their version.
// Before 1.13 every wheel had CUDA inside, and nothing but the finished environment says which: the
// claim is taken at its word, and verify proves it.
func (p *planner) inside(t Tool, torch string) string {
	v, err := ParseVersion(torch)
	if err == nil && v.Local == "" && v.Compare(mustVersion(firstNVIDIAWheels)) < 0 {
		if c, ok := p.want[t.Name].exact(); ok {
			return c.numbers(len(c.Release))
		}
	}
	if t.Name != "cuda" {
		return ""
	}
	return cudaOfLocal(torch)
}

// cudaOfLocal reads "2.5.1+cu124" as 12.4; "" for "+cpu" and for no word at all.
func cudaOfLocal(version string) string {
	_, local, _ := strings.Cut(version, "+")
	digits, ok := strings.CutPrefix(local, "cu")
	if !ok || len(digits) < 3 || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	return digits[:len(digits)-1] + "." + digits[len(digits)-1:]
}

func (p *planner) broken(t Tool, pin Pin, l Locked) error {
	e := &ClaimError{Tool: t.Name, Want: p.want[t.Name].String(), Have: pin.Version}
	if torch := l.Wheels["torch"]; t.Rides && torch != "" {
		e.Why = fmt.Sprintf("pytorch %s comes with %s", torch, pin.Version)
		if pin.Version == "" {
			e.Why = fmt.Sprintf("pytorch %s brings none", torch)
		}
		e.Nearest = p.nearest(t)
	}
	return e
}

// facts are what a framework was built with, as far as it is seen.
func (p *planner) facts(frame Tool, l Locked) map[string]string {
	out := map[string]string{}
	for _, name := range []string{"cuda", "cudnn", "nccl"} {
		t, _ := Lookup(name)
		pin, _ := p.settled(t, l)
		if pin.Version != "" && (pin.From == "wheel" || p.Found.Has(frame.Name) != "") {
			out[name] = pin.Version
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Proof is one claim, proved or not.
type Proof struct {
	Tool, Want string
	Files      string // the version that its files show, "" if none do
	At         string // the file
	Says       string // the version that its program says, "" if it said none
	OK         bool
	Why        string // of what is not OK
}

// Prove checks claims on a finished environment: found is what its files show, said the version that
// [Probe.Read] took from the answer of each tool's first probe that gave one. Both have to agree with the claim; Debian's
// packages may say less of themselves than they are.
func Prove(claims map[string]string, found Found, said map[string]string) []Proof {
	var out []Proof
	for _, t := range table() {
		want, claimed := claims[t.Name]
		if !claimed {
			continue
		}
		p := Proof{Tool: t.Name, Want: want, Says: said[t.Name]}
		c, err := ParseConstraint(want)
		list := found.Counts(t)
		i := slices.IndexFunc(list, func(f Finding) bool { return f.matches(c) })
		debian := false
		if len(list) > 0 {
			f := list[max(i, 0)]
			p.Files, p.At, debian = f.Version, f.At, f.Says != ""
		}
		switch {
		case err != nil:
			p.Why = err.Error()
		case p.Says == "" && p.Files == "":
			p.Why = "it is not there"
		case p.Says != "" && !c.Match(p.Says) && !(i >= 0 && (debian || shorter(p.Says, p.Files))):
			p.Why = "it says " + p.Says
		case p.Says == "" && len(t.Probes) > 0 && i >= 0 && !t.Rides:
			p.Why = "its files show " + p.Files + ", but it does not run"
		case p.Says == "" && i < 0:
			p.Why = "its files show " + p.Files
		default:
			p.OK = true
		}
		out = append(out, p)
	}
	return out
}

// shorter reports whether a is only the first numbers of b: a program says "9.1.0", a wheel 9.1.0.70.
func shorter(a, b string) bool {
	v, err := ParseVersion(a)
	w, err2 := ParseVersion(b)
	return err == nil && err2 == nil && w.hasPrefix(v.Release)
}
