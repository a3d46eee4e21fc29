package gpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

func everyIndex(inv Inventory) (out []int) {
	for i := range inv.Devices {
		out = append(out, i)
	}
	return out
}

func randomMachine(rng *rand.Rand) (Inventory, SelectOptions) {
	inv := []func() Inventory{h100x8, mixed, sliced}[rng.IntN(3)]()
	o := SelectOptions{InJob: rng.IntN(8) == 0}
	held := map[string]string{}
	for i := range inv.Devices {
		d := &inv.Devices[i]
		d.NUMA = rng.IntN(3) - 1
		d.Memory.Free = d.Memory.Total / 4 * uint64(1+rng.IntN(4))
		if rng.IntN(4) == 0 {
			d.Processes = []Process{{PID: 1 + rng.IntN(3), Name: "python"}}
		}
		if rng.IntN(12) == 0 {
			d.Error = "GPU is lost"
		}
		if rng.IntN(10) == 0 {
			d.ComputeMode = []string{"prohibited", "exclusive-process"}[rng.IntN(2)]
		}
		if rng.IntN(5) == 0 {
			held[d.UUID] = "somebody"
		}
		for j := range d.MIG {
			d.MIG[j].Busy = rng.IntN(4) / 3
			if rng.IntN(5) == 0 {
				held[d.MIG[j].UUID] = "somebody"
			}
		}
	}
	o.Held = heldBy(held)
	if rng.IntN(3) == 0 {
		o.Allowed = &Allowed{Source: "test"}
		for _, id := range everyID(inv) {
			if rng.IntN(2) == 0 {
				o.Allowed.IDs = append(o.Allowed.IDs, id)
			}
		}
		rng.Shuffle(len(o.Allowed.IDs), func(i, j int) { a := o.Allowed.IDs; a[i], a[j] = a[j], a[i] })
	}
	return inv, o
}

func randomRequest(rng *rand.Rand, inv Inventory) Request {
	var terms []string
	add := func(one int, list ...string) {
		if rng.IntN(one) == 0 {
			terms = append(terms, list[rng.IntN(len(list))])
		}
	}
	ids := everyID(inv)
	switch rng.IntN(5) {
	case 0:
		terms = append(terms, ids[rng.IntN(len(ids))])
	case 1:
		terms = append(terms, "all")
	default:
		terms = append(terms, fmt.Sprint(1+rng.IntN(4)))
	}
	add(4, "min-memory=10GiB", "min-memory=40GiB", "min-memory=1GiB")
	add(6, "min-total=20GiB", "min-total=80GiB")
	add(6, "name=h100", "name=3090", "name=nvidia")
	add(6, "cc>=8.0", "cc>=9.0", "cc<8.0")
	add(5, "same-numa")
	add(3, "share=yes")
	if strings.HasPrefix(terms[0], "GPU-") {
		terms = slices.DeleteFunc(terms, func(s string) bool { return strings.HasPrefix(s, "mig") })
	} else {
		add(4, "mig=1g.10gb", "mig=3g.40gb")
	}
	r, err := Parse(strings.Join(terms, ","))
	if err != nil {
		panic(err)
	}
	return r
}

// violates says what is wrong with picks, in other words than the code that made them.
func violates(r Request, inv Inventory, o SelectOptions, picks []Pick, err error) string {
	if err != nil {
		if len(picks) > 0 {
			return "picks and an error"
		}
		return ""
	}
	if r.Count > 0 && len(picks) != r.Count || len(r.IDs) > 0 && len(picks) != len(r.IDs) || r.Wants() && len(picks) == 0 {
		return "number"
	}
	seen := map[string]bool{}
	for _, p := range picks {
		if seen[p.ID()] {
			return "twice the same"
		}
		seen[p.ID()] = true
		d, memory, others := p.Device, p.Device.Memory, len(p.Device.Processes)
		if p.MIG != nil {
			memory, others = p.MIG.Memory, p.MIG.Busy
		}
		terms, _ := parseCC(r.CC)
		switch {
		case d.Error != "" || d.ComputeMode == "prohibited":
			return "broken"
		case p.MIG == nil && (d.MIGMode || r.MIG != ""):
			return "a whole GPU"
		case p.MIG != nil && r.MIG == "" && len(r.IDs) == 0 && (o.Allowed == nil || !slices.Contains(o.Allowed.IDs, p.ID())):
			return "a slice that nobody named"
		case p.MIG != nil && r.MIG != "" && p.MIG.Profile != r.MIG:
			return "profile"
		case len(r.IDs) > 0 && !slices.Contains(r.IDs, p.ID()):
			return "not named"
		case memory.Free < r.MinFree || memory.Total < r.MinTotal:
			return "memory"
		case !strings.Contains(strings.ToLower(d.Name), strings.ToLower(r.Name)):
			return "name"
		case len(terms) > 0 && !terms[0].holds(d.CC):
			return "capability"
		case r.SameNUMA && d.NUMA != picks[0].Device.NUMA:
			return "NUMA node"
		case o.Allowed != nil && !slices.Contains(o.Allowed.IDs, p.ID()) && (p.MIG == nil || !slices.Contains(o.Allowed.IDs, d.ID())):
			return "not allowed"
		}
		if _, held := o.Held(p.ID()); held && !o.InJob {
			return "leased"
		}
		if others > 0 && !o.InJob && (!r.Share || d.ComputeMode == "exclusive-process") {
			return "in use"
		}
	}
	return ""
}
