package toolchain

import (
	"fmt"
	"slices"
	"strings"
)

// rider meets a claim of a library that comes with a framework: what PyTorch's wheels bring, or what
// the base was built with, decides, and not what else could be installed beside it.
func (p *planner) rider(t Tool) {
	frame := p.framework()
	switch {
	case frame == nil:
		p.riderAlone(t)
	case frame.Kind == Satisfied:
		if !p.satisfied(t, ofFramework(t, frame, p.Found.Tools[t.Name])) {
			p.refuse(t, p.builtFor(t, frame))
		}
	case frame.Kind == Wheels:
		p.riderInWheels(t, frame)
	case frame.Kind == Debs:
		p.refuse(t, fmt.Sprintf("Debian's %s is built without CUDA", frame.Debs[0].Name))
	default:
		s := p.step(t, Refused)
		s.Reason, s.With = fmt.Sprintf("it would come with %s, which cannot be had", frame.Tool), frame.Tool
	}
}

// ofFramework leaves out what lies beside the base's PyTorch without being used by it. A toolkit that
// agrees in its first two numbers counts: PyTorch says "12.4" where the toolkit says "12.4.1".
func ofFramework(t Tool, frame *Step, list []Finding) []Finding {
	if t.Name != "cuda" || frame.Tool != "pytorch" {
		return list
	}
	i := slices.IndexFunc(list, func(f Finding) bool { return f.With == frame.Tool })
	if i < 0 {
		return nil
	}
	own, err := ParseVersion(list[i].Version)
	return slices.DeleteFunc(slices.Clone(list), func(f Finding) bool {
		v, err2 := ParseVersion(f.Version)
		return err != nil || err2 != nil || !v.hasPrefix(own.Release[:min(2, len(own.Release))])
	})
}

// framework is the step of the first framework that is claimed.
func (p *planner) framework() *Step {
	for _, t := range table() {
		if s := p.done[t.Name]; t.Framework && s != nil {
			return s
		}
	}
	return nil
}

func (p *planner) riderAlone(t Tool) {
	if p.base(t) {
		return
	}
	// Something that [python] asks for may bring it: what is resolved will show.
	if p.Index && len(p.Requested) > 0 {
		p.riderInWheels(t, nil)
		return
	}
	if _, v := p.candidate(t); p.want[t.Name].Match(v) {
		p.debs(t)
		return
	}
	p.refuse(t, joinWhy(p.why(t), "it comes with the wheels of a framework, or with the base image"))
}

func (p *planner) riderInWheels(t Tool, frame *Step) {
	s := p.step(t, Wheels)
	c := p.want[t.Name]
	if !c.Auto() {
		for _, d := range t.Dists {
			if v, ok := c.exact(); t.Name == "cuda" && (!ok || d != cudaDist(v)) {
				continue // a name a major version: without it the constraint would bind nothing
			}
			s.Constraints = append(s.Constraints, c.requirement(d, t.Numbers))
		}
	}
	slices.Sort(s.Constraints)
	if frame == nil {
		s.Notes = append(s.Notes, fmt.Sprintf("%s is checked when the Python packages are resolved", t.Name))
		return
	}
	p.adviseRider(t, s, frame)
}

// cudaDist is the distribution that has the runtime of a CUDA release. From 13 on names have no suffix.
func cudaDist(v Version) string {
	if v.major() >= 13 {
		return "nvidia-cuda-runtime"
	}
	return fmt.Sprintf("nvidia-cuda-runtime-cu%d", v.major())
}

// builtFor says what the base's framework has instead of what is claimed.
func (p *planner) builtFor(t Tool, frame *Step) string {
	list := p.Found.Tools[t.Name]
	if t.Name == "cuda" && frame.Tool == "pytorch" {
		if i := slices.IndexFunc(list, func(f Finding) bool { return f.With == frame.Tool }); i >= 0 {
			return fmt.Sprintf("the base's pytorch %s was built for cuda %s", frame.Version, list[i].Version)
		}
		return fmt.Sprintf("the base's pytorch %s was built without CUDA", frame.Version)
	}
	if len(list) == 0 {
		return fmt.Sprintf("the base's %s %s has no %s", frame.Tool, frame.Version, t.Name)
	}
	return p.why(t)
}

// adviseRider compares with the table: PyTorch's wheels on the default index are built for one CUDA.
func (p *planner) adviseRider(t Tool, s, frame *Step) {
	if frame.Tool != "pytorch" || t.Name == "nccl" {
		return
	}
	var other []string
	c, wantTorch := p.want[t.Name], p.want["pytorch"]
	for _, f := range torchFacts() {
		if !wantTorch.Match(f.torch) {
			continue
		}
		v := f.cuda
		if t.Name == "cudnn" {
			v = f.cudnn
		}
		if c.Match(v) {
			return
		}
		other = append(other, fmt.Sprintf("pytorch %s with %s %s", f.torch, t.Name, v))
	}
	if len(other) == 0 {
		if v, ok := wantTorch.exact(); ok && v.Compare(mustVersion(firstNVIDIAWheels)) < 0 {
			s.Notes = append(s.Notes, fmt.Sprintf("pytorch %s with %s %s comes only as an image, or from an index of PyTorch's own", wantTorch, t.Name, c))
		}
		return
	}
	s.Notes = append(s.Notes, fmt.Sprintf("the default index has %s; another build needs an index that serves it", strings.Join(other, ", ")))
	s.Nearest = p.nearest(t)
}

// adviseWheel warns of what is known about a wheel before it is resolved.
func (p *planner) adviseWheel(t Tool, s *Step) {
	if have := p.Found.Has(t.Name); have != "" {
		s.Notes = append(s.Notes, fmt.Sprintf("the base's %s %s is covered by the wheel", t.Name, have))
	}
	if t.Name != "torchvision" && t.Name != "torchaudio" {
		return
	}
	torch, ok := p.want["pytorch"].exact()
	mine, ok2 := p.want[t.Name].exact()
	if !ok || !ok2 {
		return
	}
	for _, k := range kinFacts() {
		fits := k.vision
		if t.Name == "torchaudio" {
			fits = k.audio
		}
		if torch.hasPrefix(mustVersion(k.torch).Release) && !mine.hasPrefix(mustVersion(fits).Release) {
			s.Notes = append(s.Notes, fmt.Sprintf("%s %s was released for pytorch %s", t.Name, fits, k.torch))
			s.Nearest = append(s.Nearest, fmt.Sprintf(`%s = "%s"`, t.Name, fits))
		}
	}
}

func mustVersion(s string) Version {
	v, err := ParseVersion(s)
	if err != nil {
		panic(err) // only for versions that are written in this package
	}
	return v
}
