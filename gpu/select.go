package gpu

import (
	"cmp"
	"fmt"
	"slices"
)

// SelectOptions is what surrounds a choice.
type SelectOptions struct {
	Allowed *Allowed // nil: all
	// Held tells whether somebody has the lease of a GPU or slice (by UUID, [Device.ID]) so that a run like
	// this one cannot have it, and who. nil: nobody.
	Held func(id string) (by string, held bool)
	// Mine tells that a process on a GPU is the caller's own, so that it is no reason to leave the GPU.
	// nil: none is.
	Mine func(Process) bool
	// InJob is true inside a scheduler's job: the GPUs are the job's, so neither leases nor processes count.
	InJob bool
}

// Allowed is an outer limit: GPUs and slices that may be used, in the order in which they are preferred.
type Allowed struct {
	IDs    []string // full UUIDs as in the inventory ([Device.ID]); of a GPU, it allows its slices
	Source string   // "CUDA_VISIBLE_DEVICES=2,3", for messages
	Note   string   // what is doubtful about it, to be said once; "" if nothing is
}

// Select picks what is wanted. The same arguments give the same picks.
//
// A pick satisfies the whole request and is free: nobody else has its lease and nobody else computes on
// it, unless Share. Of more that fit: most free memory, fewest processes, for more than one those that
// NVLink or a NUMA node joins, then the order of Allowed or of the machine. A GPU in MIG mode is never
// picked whole; a slice is picked for a profile, by name, or for a plain count if Allowed names it. SameNUMA
// counts a machine that knows no nodes as one. "All" is every GPU that fits, and waits for those in use.
//
// Picks come best first; of IDs in the order asked for. Errors: [*NoMatchError], [*HeldError] (waiting
// may help), [*UnknownError], [*AmbiguousError]. Optional changes nothing here: the caller takes the error as
// the reason to go without.
func (r Request) Select(inv Inventory, o SelectOptions) ([]Pick, error) {
	picks, _, err := r.decide(inv, o)
	return picks, err
}

// Explain says for each GPU, and for each slice that came into question, what [Request.Select] does with
// it and why, in the order of preference. Names that do not exist leave everything unfit.
func Explain(r Request, inv Inventory, o SelectOptions) []Reason {
	_, units, _ := r.decide(inv, o)
	return reasons(units)
}

func reasons(units []*unit) []Reason {
	out := make([]Reason, 0, len(units))
	for _, u := range units {
		out = append(out, u.reason())
	}
	return out
}

func (r Request) decide(inv Inventory, o SelectOptions) ([]Pick, []*unit, error) {
	inv.Devices = slices.SortedStableFunc(slices.Values(inv.Devices), func(a, b Device) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.ID(), b.ID()))
	})
	var named []string
	if len(r.IDs) > 0 && !r.All && !r.None {
		var err error
		if named, err = resolve(r.IDs, inv); err != nil {
			return nil, judge(r, inv, o, []string{}), err
		}
	}
	units := judge(r, inv, o, named)
	if !r.Wants() {
		return nil, units, nil // no GPU is wanted, and those that fit are said to
	}
	set, need, rule := r.pick(units, named)
	fit, free := count(units, Spare, Busy), count(units, Spare)
	switch {
	case rule != "" || fit < need || need == 0:
		return nil, units, &NoMatchError{Want: r, Have: inv, Reasons: reasons(units), Need: max(need, 1), Fit: fit, Rule: rule}
	case set == nil:
		e := &HeldError{Want: r, Need: need, Free: free, Reasons: reasons(units)}
		for _, u := range units {
			if u.state == Busy {
				e.By = append(e.By, cmp.Or(u.by, u.why))
			}
		}
		return nil, units, e
	}
	var picks []Pick
	for _, u := range withState(units, Spare) {
		if !slices.Contains(set, u) {
			u.why = "fits, and others come first"
		}
	}
	for _, u := range set {
		u.state = Taken
		picks = append(picks, Pick{Device: u.dev, MIG: u.mig, Why: u.why})
	}
	return picks, units, nil
}

// pick says which are taken, nil if not enough are free now, how many are needed, and the rule that these
// cannot meet together.
func (r Request) pick(units []*unit, named []string) (set []*unit, need int, rule string) {
	free, fit := withState(units, Spare), withState(units, Spare, Busy)
	switch {
	case r.All:
		need = len(fit)
	case named != nil:
		need = len(named)
	default:
		need = r.Count
	}
	if len(fit) < need || need == 0 {
		return nil, need, ""
	}
	if r.All || named != nil {
		if r.SameNUMA && !oneNode(fit) {
			return nil, need, "they are on different NUMA nodes"
		}
		if len(free) < need {
			return nil, need, ""
		}
		why := "all that fit"
		if named != nil {
			why = "named"
			slices.SortFunc(free, func(a, b *unit) int {
				return cmp.Compare(slices.Index(named, a.id()), slices.Index(named, b.id()))
			})
		}
		return marked(free, why), need, ""
	}
	if !r.SameNUMA {
		if len(free) < need {
			return nil, need, ""
		}
		set, together := choose(free, need)
		return marked(set, because(len(free), need, together)), need, ""
	}
	return r.pickOnNode(free, fit, need)
}

// pickOnNode takes the NUMA node whose best set has most free memory.
func (r Request) pickOnNode(free, fit []*unit, need int) ([]*unit, int, string) {
	var best []*unit
	var why string
	for _, node := range nodes(free) {
		here := onNode(free, node)
		if len(here) < need {
			continue
		}
		set, _ := choose(here, need)
		if best == nil || betterSet(set, best) {
			best, why = set, because(len(here), need, fmt.Sprintf("on NUMA node %d", node))
		}
	}
	if best != nil {
		return marked(best, why), need, ""
	}
	for _, node := range nodes(fit) {
		if len(onNode(fit, node)) >= need {
			return nil, need, ""
		}
	}
	return nil, need, fmt.Sprintf("%d fit, but no NUMA node has %d of them", len(fit), need)
}

// betterSet compares sets of one size: free memory, processes, NVLink, place.
func betterSet(a, b []*unit) bool {
	sum := func(set []*unit) (memory uint64, processes, place int) {
		for _, u := range set {
			memory += u.memory().Free >> 30
			processes += u.processes()
			place += u.pos
		}
		return
	}
	am, ap, ax := sum(a)
	bm, bp, bx := sum(b)
	return cmp.Or(cmp.Compare(bm, am), cmp.Compare(ap, bp), cmp.Compare(closeness(b)[0], closeness(a)[0]), cmp.Compare(ax, bx)) < 0
}

func because(fit, need int, together string) string {
	switch {
	case fit == need && need == 1:
		return "the only one that fits and is free"
	case fit == need:
		return fmt.Sprintf("one of the %d that fit and are free", need)
	case together != "":
		return fmt.Sprintf("best %d of the %d that fit: %s", need, fit, together)
	}
	return fmt.Sprintf("most free memory, fewest processes of the %d that fit", fit)
}

func marked(set []*unit, why string) []*unit {
	for _, u := range set {
		u.why = why
	}
	return set
}

func withState(units []*unit, states ...State) (out []*unit) {
	for _, u := range units {
		if slices.Contains(states, u.state) {
			out = append(out, u)
		}
	}
	return out
}

func count(units []*unit, states ...State) int { return len(withState(units, states...)) }

func nodes(units []*unit) (out []int) {
	for _, u := range units {
		if !slices.Contains(out, u.dev.NUMA) {
			out = append(out, u.dev.NUMA)
		}
	}
	slices.Sort(out)
	return out
}

func onNode(units []*unit, node int) (out []*unit) {
	for _, u := range units {
		if u.dev.NUMA == node {
			out = append(out, u)
		}
	}
	return out
}

func oneNode(units []*unit) bool { return len(nodes(units)) <= 1 }
