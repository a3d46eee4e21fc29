package gpu

import (
	"cmp"
	"fmt"
	"slices"
)

// better orders by what is promised: most free memory, then fewest processes, then place. Memory counts
// in whole GiB, so that a few MiB of some display do not decide between idle GPUs, and what connects them
// does.
func better(a, b *unit) int { return cmp.Or(rank(a, b), cmp.Compare(a.pos, b.pos)) }

func rank(a, b *unit) int {
	return cmp.Or(cmp.Compare(b.memory().Free>>30, a.memory().Free>>30), cmp.Compare(a.processes(), b.processes()))
}

// maxSets bounds how many sets are compared: any eight of sixteen GPUs are 12870.
const maxSets = 20000

// choose picks n of the units that fit. Who is better is in for sure; among the last equals the set is
// taken that NVLink joins most often, then the one with most pairs on one NUMA node, then the first.
func choose(fit []*unit, n int) ([]*unit, string) {
	fit = slices.SortedFunc(slices.Values(fit), better)
	if n >= len(fit) || n == 0 {
		return fit[:n], ""
	}
	edge := fit[n-1]
	var sure, equal []*unit
	for _, u := range fit {
		switch c := rank(u, edge); {
		case c < 0:
			sure = append(sure, u)
		case c == 0:
			equal = append(equal, u)
		}
	}
	k := n - len(sure)
	if n == 1 || len(equal) == k || sets(len(equal), k) > maxSets {
		return slices.Concat(sure, equal[:k]), ""
	}
	var best []*unit
	most := [2]int{-1, -1}
	eachSet(len(equal), k, func(picked []int) {
		set := slices.Clone(sure)
		for _, i := range picked {
			set = append(set, equal[i])
		}
		if near := closeness(set); near[0] > most[0] || near[0] == most[0] && near[1] > most[1] {
			best, most = set, near
		}
	})
	pairs := n * (n - 1) / 2
	switch {
	case most[0] == pairs:
		return best, "joined by NVLink"
	case most[1] == pairs:
		return best, fmt.Sprintf("on NUMA node %d", best[0].dev.NUMA)
	}
	return best, ""
}

// closeness counts pairs: joined by NVLink, and on one NUMA node.
func closeness(set []*unit) (out [2]int) {
	for i, a := range set {
		for _, b := range set[:i] {
			if slices.Contains(a.dev.Links, b.dev.Index) || slices.Contains(b.dev.Links, a.dev.Index) {
				out[0]++
			}
			if a.dev.NUMA >= 0 && a.dev.NUMA == b.dev.NUMA {
				out[1]++
			}
		}
	}
	return out
}

// sets is how many sets of k of n there are, or more than [maxSets].
func sets(n, k int) int {
	k = min(k, n-k)
	out := 1
	for i := 1; i <= k; i++ {
		out = out * (n - k + i) / i
		if out > maxSets {
			return out
		}
	}
	return out
}

// eachSet calls f with every k of 0…n-1, in the order of a dictionary. f must not keep the slice.
func eachSet(n, k int, f func([]int)) {
	at := make([]int, k)
	for i := range at {
		at[i] = i
	}
	for {
		f(at)
		i := k - 1
		for i >= 0 && at[i] == n-k+i {
			i--
		}
		if i < 0 {
			return
		}
		at[i]++
		for j := i + 1; j < k; j++ {
			at[j] = at[j-1] + 1
		}
	}
}
