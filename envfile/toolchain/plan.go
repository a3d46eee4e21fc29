package toolchain

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is how a claim is met.
type Kind int

// The kinds, in the order in which they are tried.
const (
	Satisfied   Kind = iota // by the base, as it is
	Debs                    // by Debian packages
	Wheels                  // by Python wheels
	Interpreter             // by a standalone Python
	Refused                 // not at all
)

func (k Kind) String() string {
	return [...]string{"satisfied", "debs", "wheels", "interpreter", "refused"}[k]
}

// DebReq is one Debian package to add.
type DebReq struct {
	Name    string
	Version string // the candidate that was looked at; "" for what only has to come along
}

// Step is what to do for one claim.
type Step struct {
	Tool string
	Want string // the claim as it was written; "auto" for what another claim implies
	Kind Kind

	Version      string   // what it will be, as far as that is known
	At           string   // kind Satisfied: the file that shows it
	Debs         []DebReq // kind Debs
	Requirements []string // kind Wheels: to install, "torch==2.5.1"
	Constraints  []string // kind Wheels: to hold if they come along, "nvidia-cuda-runtime-cu12==12.4.*"
	Reason       string   // kind Refused
	With         string   // kind Refused: only since this tool is
	Nearest      []string // what works instead, nearest first: of refusals, and of wheels that facts speak against
	Notes        []string // advice
}

// Evidence is what the caller knows.
type Evidence struct {
	Found        Found
	Candidates   func(deb string) (version string, ok bool) // what the archives offer; nil: no archives
	Index        bool                                       // a Python index is known
	Versions     func(dist string) []string                 // what the index offers, newest first; nil or empty: not known
	Requested    []string                                   // distributions that [python] asks for, by name
	Interpreters []string                                   // versions of standalone Pythons on offer
	GPU          bool                                       // a build without CUDA will not do
	Runs         func(cuda string) bool                     // whether the driver here runs it; nil: not known
}

// Plan says for each claim how it is met, in an order in which the steps can be done. Claims that
// cannot be met are steps of kind Refused, see [Refusals]; the error is for claims that are no claims.
func Plan(claims map[string]string, have Evidence) ([]Step, error) {
	p := &planner{Evidence: have, want: map[string]Constraint{}, done: map[string]*Step{}}
	for name, text := range claims {
		if _, ok := Lookup(name); !ok {
			return nil, fmt.Errorf("unknown tool: %s", name)
		}
		c, err := ParseConstraint(text)
		if err != nil {
			return nil, fmt.Errorf("toolchain.%s: %w", name, err)
		}
		p.want[name] = c
	}
	tools := table()
	for _, t := range tools {
		if _, claimed := p.want[t.Name]; !claimed || p.done[t.Name] != nil {
			continue
		}
		switch {
		case t.Name == "python":
			p.python(t)
		case t.Rides:
			p.rider(t)
		case t.Kin != "":
			p.kin(p.claimedOf(tools, t.Kin))
		default:
			p.kin([]Tool{t})
		}
	}
	p.impliedPython()
	var out []Step
	for _, t := range tools {
		if s := p.done[t.Name]; s != nil {
			out = append(out, *s)
		}
	}
	return out, nil
}

type planner struct {
	Evidence
	want map[string]Constraint
	done map[string]*Step
}

func (p *planner) claimedOf(tools []Tool, kin string) []Tool {
	return slices.DeleteFunc(slices.Clone(tools), func(t Tool) bool {
		_, ok := p.want[t.Name]
		return t.Kin != kin || !ok
	})
}

func (p *planner) step(t Tool, k Kind) *Step {
	s := &Step{Tool: t.Name, Want: p.want[t.Name].String(), Kind: k}
	if s.Want == "" {
		s.Want = "auto"
	}
	p.done[t.Name] = s
	return s
}

// base meets a claim by what is there.
func (p *planner) base(t Tool) bool { return p.satisfied(t, p.Found.Counts(t)) }

func (p *planner) satisfied(t Tool, list []Finding) bool {
	c := p.want[t.Name]
	i := slices.IndexFunc(list, func(f Finding) bool { return f.matches(c) })
	if i < 0 {
		return false
	}
	s := p.step(t, Satisfied)
	s.Version, s.At = list[i].Version, list[i].At
	for _, o := range p.Found.Tools[t.Name] {
		if !o.matches(c) {
			s.Notes = append(s.Notes, fmt.Sprintf("the base also has %s %s: %s", t.Name, o.Version, o.At))
		}
	}
	return true
}

func (f Finding) matches(c Constraint) bool {
	return c.Match(f.Version) || f.Says != "" && c.Match(f.Says)
}

// candidate is what the archives have of a tool, as an upstream version.
func (p *planner) candidate(t Tool) (deb, upstream string) {
	if p.Candidates == nil || len(t.Debs) == 0 {
		return "", ""
	}
	deb, ok := p.Candidates(t.Debs[0])
	if !ok {
		return "", ""
	}
	return deb, Upstream(deb)
}

func (p *planner) debs(t Tool) *Step {
	deb, upstream := p.candidate(t)
	s := p.step(t, Debs)
	s.Version = upstream
	for i, name := range t.Debs {
		d := DebReq{Name: name}
		if i == 0 {
			d.Version = deb
		}
		s.Debs = append(s.Debs, d)
	}
	return s
}

func (p *planner) refuse(t Tool, reason string) {
	s := p.step(t, Refused)
	s.Reason, s.Nearest = reason, p.nearest(t)
	if len(t.Dists) > 0 && !p.Index && len(s.Nearest) < mostNearest {
		s.Nearest = append(s.Nearest, fmt.Sprintf("a base image that has %s %s", t.Name, s.Want), "an index of Python packages, see [[python.index]]")
	}
}

func (p *planner) python(t Tool) {
	c := p.want[t.Name]
	if p.base(t) {
		return
	}
	_, v := p.candidate(t)
	here := p.Found.Python
	why := ""
	switch {
	case v == "":
		why = "no archive offers " + t.Debs[0]
	case !c.Match(v):
		why = "Debian has " + v
	case here.Path != "" && !here.Debian && !strings.HasPrefix(here.Path, "/usr/bin/"):
		why = "Debian's would be behind the one that comes first on the path: " + here.Path
	default:
		p.debs(t)
		return
	}
	if i := slices.IndexFunc(p.Interpreters, c.Match); i >= 0 {
		p.step(t, Interpreter).Version = p.Interpreters[i]
		return
	}
	p.refuse(t, joinWhy(p.why(t), why, "no standalone build of it is known"))
}

// impliedPython adds Debian's Python where something needs one and there is none.
func (p *planner) impliedPython() {
	if p.done["python"] != nil || p.Found.Python.Path != "" {
		return
	}
	for _, t := range table() {
		if s := p.done[t.Name]; s != nil && s.Kind == Wheels {
			py, _ := Lookup("python")
			p.want["python"] = Constraint{text: "auto"}
			p.python(py)
			p.done["python"].Notes = append(p.done["python"].Notes, "needed by "+t.Name)
			return
		}
	}
}

// debianPython reports whether Debian's Python is, or will be, the one of the environment.
func (p *planner) debianPython() bool {
	if s := p.done["python"]; s != nil && s.Kind != Satisfied {
		return s.Kind == Debs
	}
	return p.Found.Python.Path == "" || p.Found.Python.Debian
}

// wantsCUDA reports whether a build without CUDA would break a claim.
func (p *planner) wantsCUDA() bool {
	for _, t := range table() {
		if _, ok := p.want[t.Name]; ok && t.Rides {
			return true
		}
	}
	return p.GPU
}

// kin meets the claims of tools that have to come from one source.
func (p *planner) kin(tools []Tool) {
	rest := slices.DeleteFunc(slices.Clone(tools), p.base)
	if len(rest) == 0 {
		return
	}
	noDebs := ""
	for _, t := range rest {
		if noDebs = p.againstDebs(t); noDebs != "" {
			break
		}
	}
	if noDebs == "" {
		for _, t := range rest {
			s := p.debs(t)
			if t.CPUDeb && t.Framework {
				s.Notes = append(s.Notes, "Debian's build is for the CPU only; claim cuda to have another")
			}
		}
		return
	}
	for _, t := range rest {
		if len(t.Dists) == 0 {
			p.refuse(t, joinWhy(p.why(t), noDebs))
			continue
		}
		if why := p.againstWheels(t); why != "" {
			p.refuse(t, joinWhy(p.why(t), noDebs, why))
			continue
		}
		s := p.step(t, Wheels)
		s.Requirements = []string{p.want[t.Name].requirement(t.Dists[0], t.Numbers)}
		p.adviseWheel(t, s)
	}
}

// againstDebs says why Debian's package will not do.
func (p *planner) againstDebs(t Tool) string {
	_, v := p.candidate(t)
	switch {
	case len(t.Debs) == 0:
		return "Debian has no package of it"
	case v == "":
		return "no archive offers " + t.Debs[0]
	case !p.want[t.Name].Match(v):
		return "Debian has " + v
	case len(t.Dists) > 0 && strings.HasPrefix(t.Debs[0], "python3-") && !p.debianPython():
		return fmt.Sprintf("Debian's %s is for Debian's own Python, and this base has another: %s", t.Debs[0], p.Found.Python.Path)
	case t.CPUDeb && p.wantsCUDA():
		return fmt.Sprintf("Debian's %s is built without CUDA", t.Debs[0])
	}
	return ""
}

// againstWheels says why no wheel will do.
func (p *planner) againstWheels(t Tool) string {
	if !p.Index {
		return "no Python index is known"
	}
	if p.Versions != nil {
		if all := p.Versions(t.Dists[0]); len(all) > 0 && !slices.ContainsFunc(all, p.want[t.Name].Match) {
			return "no index has such a version"
		}
	}
	return ""
}
