package gpu

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// State is what became of a GPU in a choice.
type State string

// The states.
const (
	Taken State = "taken"
	Spare State = "spare" // fits and is free, others came first
	Busy  State = "busy"  // fits, and somebody uses it now
	Unfit State = "unfit" // does not fit, and waiting does not help
)

// Reason says of one GPU, or one slice, why it was taken or not.
type Reason struct {
	ID    string `json:"id"`
	Index int    `json:"index"` // of the GPU
	BDF   string `json:"bdf"`
	Name  string `json:"name"`
	MIG   string `json:"mig,omitempty"` // profile, of a slice
	State State  `json:"state"`
	Why   string `json:"why"` // reads on after the label: "has 12.0 GiB free of 40.0 GiB wanted"
}

// Label is what people call it: "GPU 3" or "slice MIG-41c0 of GPU 3".
func (r Reason) Label() string {
	label := "GPU " + strconv.Itoa(r.Index)
	if r.MIG != "" {
		id := r.ID
		if len(id) > 12 {
			id = id[:12]
		}
		return "slice " + id + " of " + label
	}
	return label
}

// A unit is what can be picked: a whole GPU or a slice of one.
type unit struct {
	dev   Device
	mig   *MIG
	pos   int // in the allowed list if there is one, else in the machine
	state State
	why   string
	by    string // who uses it, if somebody is known to
}

func (u *unit) id() string { return Pick{Device: u.dev, MIG: u.mig}.ID() }

func (u *unit) memory() Memory {
	if u.mig != nil {
		return u.mig.Memory
	}
	return u.dev.Memory
}

func (u *unit) processes() int {
	if u.mig != nil {
		return u.mig.Busy
	}
	return len(u.dev.Processes)
}

func (u *unit) reason() Reason {
	r := Reason{ID: u.id(), Index: u.dev.Index, BDF: u.dev.BDF, Name: u.dev.Name, State: u.state, Why: u.why}
	if u.mig != nil {
		r.MIG = u.mig.Profile
	}
	return r
}

// judge looks at every unit by itself. named is nil or the IDs that are asked for.
func judge(r Request, inv Inventory, o SelectOptions, named []string) []*unit {
	var units []*unit
	for _, d := range inv.Devices {
		whole := &unit{dev: d}
		slicesOf := make([]*unit, 0, len(d.MIG))
		for _, m := range d.MIG {
			u := &unit{dev: d, mig: &m}
			if r.MIG != "" || slices.Contains(named, m.UUID) || o.Allowed.names(m.UUID) {
				slicesOf = append(slicesOf, u)
			}
		}
		if len(slicesOf) == 0 || slices.Contains(named, d.ID()) {
			units = append(units, whole)
		}
		units = append(units, slicesOf...)
	}
	for i, u := range units {
		u.pos = i
		if o.Allowed != nil {
			u.pos = o.Allowed.position(u)
		}
	}
	slices.SortStableFunc(units, func(a, b *unit) int {
		return cmp.Or(cmp.Compare(a.pos, b.pos), cmp.Compare(a.dev.Index, b.dev.Index), cmp.Compare(a.id(), b.id()))
	})
	for i, u := range units {
		u.pos = i
		u.state, u.why = Spare, "fits and is free"
		if why := u.unfit(r, o, named); why != "" {
			u.state, u.why = Unfit, why
		} else if why := u.busy(r, o); why != "" {
			u.state, u.why = Busy, why
		}
	}
	return units
}

// unfit says what will not change by waiting.
func (u *unit) unfit(r Request, o SelectOptions, named []string) string {
	d, m := u.dev, u.memory()
	switch {
	case d.Error != "":
		return "cannot be used: " + shown(d.Error)
	case !o.Allowed.has(u):
		return "is not among " + o.Allowed.Source
	case named != nil && !slices.Contains(named, u.id()):
		return "is not named"
	case u.mig == nil && r.MIG != "":
		return "has no slices (MIG)"
	case u.mig == nil && d.MIGMode && len(d.MIG) > 0:
		return fmt.Sprintf("is divided into %d slices (MIG)", len(d.MIG))
	case u.mig == nil && d.MIGMode:
		return "is in MIG mode without a slice, so that CUDA finds nothing on it"
	case r.MIG != "" && !strings.EqualFold(u.mig.Profile, r.MIG):
		return "has the profile " + shown(u.mig.Profile)
	case r.Name != "" && !strings.Contains(strings.ToLower(d.Name), strings.ToLower(r.Name)):
		return "is " + article(d.Name)
	case d.ComputeMode == "prohibited":
		return "is set to compute mode prohibited"
	}
	if why := u.wrongCC(r.CC); why != "" {
		return why
	}
	switch {
	case (r.MinTotal > 0 || r.MinFree > 0) && m.Total == 0:
		return "does not tell its memory: NVML could not be asked"
	case m.Total < r.MinTotal:
		return fmt.Sprintf("has %s of memory, %s wanted", roundSize(m.Total), roundSize(r.MinTotal))
	case m.Total < r.MinFree:
		return fmt.Sprintf("has %s of memory in all, %s free wanted", roundSize(m.Total), roundSize(r.MinFree))
	}
	return ""
}

func (u *unit) wrongCC(want string) string {
	if want == "" {
		return ""
	}
	terms, err := parseCC(want)
	if err != nil {
		return "cannot be compared: " + shown(want) + " is no range of compute capabilities"
	}
	if u.dev.CC == (CC{}) {
		return "does not tell its compute capability: NVML could not be asked"
	}
	for _, t := range terms {
		if !t.holds(u.dev.CC) {
			return "has compute capability " + u.dev.CC.String() + ", wanted " + formatCC(terms)
		}
	}
	return ""
}

// busy says what may change: who uses it, and what is left of its memory. In a scheduler's job the GPUs
// are the job's own, and who else computes there is one of its processes.
func (u *unit) busy(r Request, o SelectOptions) string {
	if !o.InJob {
		if o.Held != nil {
			if by, held := o.Held(u.id()); held {
				u.by = shown(cmp.Or(by, "another run"))
				return "is leased by " + u.by
			}
		}
		if why := u.occupied(r, o); why != "" {
			return why
		}
	}
	if m := u.memory(); m.Free < r.MinFree {
		return fmt.Sprintf("has %s free, %s wanted", roundSize(m.Free), roundSize(r.MinFree))
	}
	return ""
}

func (u *unit) occupied(r Request, o SelectOptions) string {
	alone := !r.Share || u.dev.ComputeMode == "exclusive-process"
	if !alone {
		return ""
	}
	mode := ""
	if r.Share {
		mode = " (compute mode exclusive-process)"
	}
	if u.mig != nil {
		if u.mig.Busy > 0 {
			u.by = some(u.mig.Busy, "program")
			return "is used by " + u.by + mode
		}
		return ""
	}
	var who []string
	for _, p := range u.dev.Processes {
		if o.Mine == nil || !o.Mine(p) {
			who = append(who, fmt.Sprintf("%s (pid %d)", shown(cmp.Or(p.Name, "a program")), p.PID))
		}
	}
	if len(who) == 0 {
		return ""
	}
	u.by = few(who, 3, ", ")
	return "is used by " + u.by + mode
}

func article(name string) string {
	if name == "" {
		return "of an unknown model"
	}
	return "another model: " + shown(name)
}

// names tells whether a slice is in the list by itself.
func (a *Allowed) names(id string) bool { return a != nil && slices.Contains(a.IDs, id) }

// has tells whether a unit is allowed: by itself, or as a slice of a GPU that is.
func (a *Allowed) has(u *unit) bool {
	return a == nil || slices.Contains(a.IDs, u.id()) || u.mig != nil && slices.Contains(a.IDs, u.dev.ID())
}

func (a *Allowed) position(u *unit) int {
	for i, id := range a.IDs {
		if id == u.id() || u.mig != nil && id == u.dev.ID() {
			return i
		}
	}
	return len(a.IDs)
}
