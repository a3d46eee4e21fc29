package source

import (
	"sort"

	"github.com/4cc2e759/sandbox/internal/near"
)

// nearest is the n names that take the fewest changes to become want; among equals the earlier wins.
func nearest(want string, names []string, n int) []string {
	type scored struct {
		name string
		cost int
	}
	all := make([]scored, 0, len(names))
	for i, name := range names {
		if i == 2000 { // a repository may have any number of tags
			break
		}
		all = append(all, scored{name, near.Distance(want, name, len(want)+len(name))})
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].cost < all[j].cost })
	var out []string
	for _, s := range all[:min(n, len(all))] {
		out = append(out, s.name)
	}
	return out
}
