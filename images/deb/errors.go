package deb

import (
	"fmt"
	"sort"
	"strings"

	"github.com/4cc2e759/sandbox/internal/near"
)

// UnknownError is a package that no archive has.
type UnknownError struct {
	Name     string
	Archives []string
	Nearest  []string // names that look like it, best first
	Versions []string // if Name is there, but not in the version that was asked for
	Several  bool     // one of several: the hint says for which it is
}

func (e *UnknownError) Error() string {
	if len(e.Versions) > 0 {
		return fmt.Sprintf("no package %s; on offer: %s", e.Name, strings.Join(e.Versions, ", "))
	}
	return fmt.Sprintf("no package %q in %s", e.Name, strings.Join(e.Archives, ", "))
}

// Hint is what helps.
func (e *UnknownError) Hint() string {
	if len(e.Nearest) == 0 {
		return ""
	}
	if e.Several {
		return "for " + e.Name + " there are: " + strings.Join(e.Nearest, ", ")
	}
	return "there are: " + strings.Join(e.Nearest, ", ")
}

// UnsatisfiedError is something that a package needs and nothing gives.
type UnsatisfiedError struct {
	By       string // "apt 2.6.1"
	Relation string
	Offer    string // what there is instead
}

func (e *UnsatisfiedError) Error() string {
	return fmt.Sprintf("%s needs %s: %s", e.By, e.Relation, e.Offer)
}

// ConflictError is two packages that cannot be installed together.
type ConflictError struct {
	Package, Other string
	Relation       string // as Package says it
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s and %s cannot be installed together: %s conflicts with %s", e.Package, e.Other, e.Package, e.Relation)
}

func archiveNames(archives []*Archive) []string {
	var out []string
	for _, a := range archives {
		out = append(out, a.Name)
	}
	return out
}

// missing is the error for a name that was asked for and is not there.
func (r *resolver) missing(rel Relation) error {
	var versions []string
	for _, a := range r.archives {
		for _, x := range a.indexes {
			pp, err := x.named(rel.Name)
			if err != nil {
				return err
			}
			for _, p := range pp {
				versions = append(versions, p.Version)
			}
		}
	}
	if rel.Op != "" && len(versions) > 0 {
		sort.Slice(versions, func(i, j int) bool { return Compare(versions[i], versions[j]) > 0 })
		return &UnknownError{Name: rel.String(), Archives: archiveNames(r.archives), Versions: versions}
	}
	return r.unknown(rel.Name)
}

func (r *resolver) unknown(name string) error {
	return &UnknownError{Name: name, Archives: archiveNames(r.archives), Nearest: Nearest(r.archives, name)}
}

// Nearest returns up to five names in the archives that look like name, best first.
func Nearest(archives []*Archive, name string) []string {
	type word struct {
		name string
		far  int
	}
	var all []word
	seen := map[string]bool{}
	limit := 1 + len(name)/4
	for _, a := range archives {
		for _, x := range a.indexes {
			for n := range x.first {
				if seen[n] {
					continue
				}
				seen[n] = true
				if d := near.Distance(name, n, limit); d <= limit {
					all = append(all, word{n, d})
				} else if len(name) >= 4 && strings.Contains(n, name) {
					all = append(all, word{n, limit + len(n) - len(name)})
				}
			}
		}
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].far != all[j].far {
			return all[i].far < all[j].far
		}
		return all[i].name < all[j].name
	})
	var out []string
	for _, n := range all[:min(5, len(all))] {
		out = append(out, n.name)
	}
	return out
}
