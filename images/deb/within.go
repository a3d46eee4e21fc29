package deb

import (
	"cmp"
	"sort"
)

// Needed marks, of a list of packages, those that want names and all that these need according to
// their Pre-Depends and Depends, as far as the list has it. Packages with the same name count alike.
func Needed(list []*Package, want func(*Package) bool) []bool {
	byName := map[string][]int{}
	for i, p := range list {
		byName[p.Name] = append(byName[p.Name], i)
		for _, g := range p.Provides {
			byName[g[0].Name] = append(byName[g[0].Name], i)
		}
	}
	marked := make([]bool, len(list))
	var queue []int
	mark := func(i int) {
		if !marked[i] {
			marked[i] = true
			queue = append(queue, i)
		}
	}
	for i, p := range list {
		if want(p) {
			mark(i)
		}
	}
	for len(queue) > 0 {
		p := list[queue[0]]
		queue = queue[1:]
		for _, groups := range [][]Alternatives{p.PreDepends, p.Depends} {
			for _, g := range groups {
				for _, rel := range g {
					for _, i := range byName[rel.Name] {
						mark(i)
					}
				}
			}
		}
	}
	return marked
}

// Order is a fixed order in which to unpack the packages of a list, as indexes into it: essential ones
// first, as every script may use them, then by name, but each after those that it pre-depends on,
// which its own scripts may use before it is unpacked.
func Order(list []*Package) []int {
	byName := map[string][]int{}
	sorted := make([]int, len(list))
	for i := range list {
		sorted[i] = i
	}
	sort.SliceStable(sorted, func(a, b int) bool {
		p, q := list[sorted[a]], list[sorted[b]]
		if p.Essential != q.Essential {
			return p.Essential
		}
		return cmp.Or(cmp.Compare(p.Name, q.Name), cmp.Compare(p.Arch, q.Arch)) < 0
	})
	for _, i := range sorted {
		byName[list[i].Name] = append(byName[list[i].Name], i)
		for _, g := range list[i].Provides {
			byName[g[0].Name] = append(byName[g[0].Name], i)
		}
	}
	out := make([]int, 0, len(list))
	begun := make([]bool, len(list)) // of a circle the first by name stays first
	var visit func(i int)
	visit = func(i int) {
		if begun[i] {
			return
		}
		begun[i] = true
		for _, g := range list[i].PreDepends {
			for _, rel := range g {
				for _, j := range byName[rel.Name] {
					visit(j)
				}
			}
		}
		out = append(out, i)
	}
	for _, i := range sorted {
		visit(i)
	}
	return out
}
