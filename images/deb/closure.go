package deb

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// ClosureOptions say what a closure starts from, beside the names.
type ClosureOptions struct {
	Base       bool // also everything Essential or of priority required, apt, and the keys that apt needs
	Recommends bool // follow Recommends, too
}

// Closure chooses the packages that names need, themselves included, sorted by name. A name may be
// "name=version". The choice depends on the archives alone: of each package the newest version of
// all archives that satisfies what asks for it; for "a | b" what is chosen already, else the first
// that can be installed, else of those that provide the name the one of the highest priority, in
// main before other components, with the first name. Names and base come first, then what they
// need, level by level. One alternative is preferred wherever it stands: usr-is-merged.
//
// Errors are *UnknownError, *UnsatisfiedError and *ConflictError.
func Closure(archives []*Archive, names []string, o ClosureOptions) ([]*Package, error) {
	r := &resolver{archives: archives, chosen: map[string]*Package{}, offered: map[string][]*Package{}, o: o}
	if err := r.seeds(names); err != nil {
		return nil, err
	}
	for len(r.queue) > 0 {
		p := r.queue[0]
		r.queue = r.queue[1:]
		if err := r.needs(p); err != nil {
			return nil, err
		}
	}
	out := make([]*Package, 0, len(r.chosen))
	for _, p := range r.chosen {
		out = append(out, p)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	for _, p := range out {
		if c := r.conflict(p); c != nil {
			return nil, c
		}
	}
	return out, nil
}

type resolver struct {
	archives []*Archive
	chosen   map[string]*Package
	offered  map[string][]*Package // virtual name → chosen packages that provide it
	order    []*Package            // chosen, in the order of choice
	queue    []*Package
	o        ClosureOptions
}

// keyPackages are the packages with the keys of an archive, by its Origin: apt in the finished base
// cannot verify anything without.
var keyPackages = map[string]string{"Debian": "debian-archive-keyring", "Ubuntu": "ubuntu-keyring"}

func (r *resolver) seeds(names []string) error {
	want := map[string]Relation{}
	for _, n := range names {
		rel := Relation{}
		if rel.Name, rel.Version, _ = strings.Cut(n, "="); rel.Version != "" {
			rel.Op = "="
		}
		want[rel.Name] = rel
	}
	if r.o.Base {
		base, err := r.base()
		if err != nil {
			return err
		}
		for _, n := range base {
			if _, named := want[n]; !named {
				want[n] = Relation{Name: n}
			}
		}
	}
	seeds := make([]string, 0, len(want))
	for n := range want {
		seeds = append(seeds, n)
	}
	sort.Strings(seeds)
	for _, n := range seeds {
		p, err := r.newest(want[n])
		if err == nil && p == nil {
			p, err = r.provider(want[n], nil)
		}
		if err != nil {
			return err
		}
		if p == nil {
			return r.missing(want[n])
		}
		r.choose(p)
	}
	return nil
}

// base is the names that every base has.
func (r *resolver) base() ([]string, error) {
	names := []string{"apt"}
	for _, a := range r.archives {
		if k := keyPackages[a.Origin]; k != "" {
			names = append(names, k)
		}
		for _, x := range a.indexes {
			pp, err := x.required()
			if err != nil {
				return nil, err
			}
			for _, p := range pp {
				// An update may have taken it out of the base.
				if n, err := r.newest(Relation{Name: p.Name}); err != nil {
					return nil, err
				} else if n != nil && (n.Essential || n.Priority == "required") {
					names = append(names, p.Name)
				}
			}
		}
	}
	return names, nil
}

func (r *resolver) choose(p *Package) {
	if r.chosen[p.Name] != nil {
		return
	}
	r.chosen[p.Name] = p
	r.order = append(r.order, p)
	r.queue = append(r.queue, p)
	for _, g := range p.Provides {
		r.offered[g[0].Name] = append(r.offered[g[0].Name], p)
	}
}

func (r *resolver) needs(p *Package) error {
	for _, groups := range [][]Alternatives{p.PreDepends, p.Depends} {
		for _, g := range groups {
			if r.satisfied(g) {
				continue
			}
			q, err := r.pick(g)
			if err != nil {
				return err
			}
			if q == nil {
				return r.unsatisfied(p, g)
			}
			r.choose(q)
		}
	}
	if r.o.Recommends {
		for _, g := range p.Recommends {
			if r.satisfied(g) {
				continue
			}
			q, err := r.pick(g)
			if err != nil {
				return err
			}
			if q != nil { // a recommendation that cannot be met is passed over
				r.choose(q)
			}
		}
	}
	return nil
}

// satisfied reports whether what is chosen is enough for a group.
func (r *resolver) satisfied(g Alternatives) bool {
	for _, rel := range g {
		if p := r.chosen[rel.Name]; p != nil && rel.matches(p) {
			return true
		}
		for _, p := range r.offered[rel.Name] {
			if p.offers(rel) {
				return true
			}
		}
	}
	return false
}

// matches reports whether p itself is what rel names.
func (rel Relation) matches(p *Package) bool {
	switch rel.Arch {
	case "", "any", "native", p.Arch:
	default:
		if p.Arch != "all" {
			return false
		}
	}
	return p.Name == rel.Name && satisfies(p.Version, rel.Op, rel.Version)
}

// offers reports whether p provides what rel names; a relation with a version needs a provision
// with one.
func (p *Package) offers(rel Relation) bool {
	for _, g := range p.Provides {
		v := g[0]
		if v.Name == rel.Name && (rel.Op == "" || v.Op == "=" && satisfies(v.Version, rel.Op, rel.Version)) {
			return true
		}
	}
	return false
}

// pick chooses for a group, or returns nil.
func (r *resolver) pick(g Alternatives) (*Package, error) {
	for _, rel := range mergedFirst(g) {
		if r.chosen[rel.Name] != nil {
			continue // chosen, but not in a version that is good for rel
		}
		p, err := r.newest(rel)
		if err != nil {
			return nil, err
		}
		if p != nil && r.conflict(p) == nil {
			return p, nil
		}
		if p, err = r.provider(rel, r.conflict); err != nil || p != nil {
			return p, err
		}
	}
	return nil, nil
}

// mergedFirst prefers usr-is-merged, which is empty, to usrmerge, which moves the files of a running
// system with the help of all of perl: the trees that we make are merged from the start.
func mergedFirst(g Alternatives) Alternatives {
	for i, rel := range g {
		if rel.Name == "usr-is-merged" {
			out := append(Alternatives{rel}, g[:i]...)
			return append(out, g[i+1:]...)
		}
	}
	return g
}

// newest is the newest package that rel names, or nil.
func (r *resolver) newest(rel Relation) (best *Package, err error) {
	for _, a := range r.archives {
		for _, x := range a.indexes {
			pp, err := x.named(rel.Name)
			if err != nil {
				return nil, err
			}
			for _, p := range pp {
				if rel.matches(p) && (best == nil || Compare(p.Version, best.Version) > 0) {
					best = p
				}
			}
		}
	}
	return best, nil
}

var priorities = []string{"required", "important", "standard", "optional"}

// provider is the best package that provides rel, of those that are the newest of their name.
func (r *resolver) provider(rel Relation, conflict func(*Package) *ConflictError) (*Package, error) {
	var all []*Package
	for _, a := range r.archives {
		for _, x := range a.indexes {
			pp, err := x.providers(rel.Name)
			if err != nil {
				return nil, err
			}
			all = append(all, pp...)
		}
	}
	var best *Package
	for _, p := range all {
		if !p.offers(rel) || r.chosen[p.Name] != nil || conflict != nil && conflict(p) != nil {
			continue
		}
		newest, err := r.newest(Relation{Name: p.Name})
		if err != nil {
			return nil, err
		}
		if newest.Version == p.Version && (best == nil || p.before(best)) {
			best = p
		}
	}
	return best, nil
}

func (p *Package) before(q *Package) bool {
	rank := func(p *Package) int {
		if i := slices.Index(priorities, p.Priority); i >= 0 {
			return i
		}
		return len(priorities)
	}
	other := func(p *Package) int {
		if strings.HasSuffix(p.Archive, "/main") {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(p), rank(q)), cmp.Compare(other(p), other(q)), cmp.Compare(p.Name, q.Name)) < 0
}

// conflict finds a chosen package that cannot be together with p.
func (r *resolver) conflict(p *Package) *ConflictError {
	for _, q := range r.order {
		if q.Name == p.Name {
			continue
		}
		if rel, ok := p.refuses(q); ok {
			return &ConflictError{p.Name, q.Name, rel.String()}
		}
		if rel, ok := q.refuses(p); ok {
			return &ConflictError{q.Name, p.Name, rel.String()}
		}
	}
	return nil
}

// refuses reports whether a conflict or break that p names hits q.
func (p *Package) refuses(q *Package) (Relation, bool) {
	for _, list := range [][]Alternatives{p.Conflicts, p.Breaks} {
		for _, g := range list {
			if g[0].matches(q) || q.offers(g[0]) {
				return g[0], true
			}
		}
	}
	return Relation{}, false
}

func (r *resolver) unsatisfied(p *Package, g Alternatives) error {
	e := &UnsatisfiedError{Relation: g.String(), By: p.Name + " " + p.Version}
	var offers []string
	for _, rel := range g {
		if c := r.chosen[rel.Name]; c != nil {
			offers = append(offers, c.Name+" "+c.Version+" is chosen")
		} else if n, err := r.newest(Relation{Name: rel.Name}); err == nil && n != nil {
			why := ""
			if c := r.conflict(n); c != nil {
				why = " (" + c.Error() + ")"
			}
			offers = append(offers, n.Name+" "+n.Version+" is on offer"+why)
		}
	}
	e.Offer = strings.Join(offers, ", ")
	if e.Offer == "" {
		e.Offer = fmt.Sprintf("no archive has it, of %s", strings.Join(archiveNames(r.archives), ", "))
	}
	return e
}
