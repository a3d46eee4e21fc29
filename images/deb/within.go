package deb

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
