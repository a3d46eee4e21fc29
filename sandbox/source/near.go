package source

import "sort"

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
		all = append(all, scored{name, distance(want, name)})
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].cost < all[j].cost })
	var out []string
	for _, s := range all[:min(n, len(all))] {
		out = append(out, s.name)
	}
	return out
}

// distance is Levenshtein's, on bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
