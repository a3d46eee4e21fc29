package envfile

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Section is the lock's part for a platform under profiles, or a [*NoSectionError].
func (l *Lock) Section(platform string, profiles []string) (*Section, error) {
	if s := l.Sections[SectionName(platform, profiles)]; s != nil {
		return s, nil
	}
	return nil, &NoSectionError{Platform: platform, Profiles: profiles, Have: slices.Sorted(maps.Keys(l.Sections))}
}

// Check compares the lock with the env file and the files it names: nil, a [*NoSectionError] or a
// [*StaleError]. inputs come from [Inputs]. It needs no network.
func (l *Lock) Check(platform string, profiles []string, inputs map[string]string) error {
	s, err := l.Section(platform, profiles)
	if err != nil {
		return err
	}
	if l.LayerFormat != LayerFormat {
		return &StaleError{[]Change{{Key: keyLayerFormat, Old: strconv.Itoa(l.LayerFormat), New: strconv.Itoa(LayerFormat)}}}
	}
	return s.Check(inputs)
}

// Check compares what the section was made from with inputs: nil or a [*StaleError].
func (s *Section) Check(inputs map[string]string) error {
	var changes []Change
	names := slices.Concat(slices.Collect(maps.Keys(s.Inputs)), slices.Collect(maps.Keys(inputs)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		c := Change{Key: name, Old: s.Inputs[name], New: inputs[name]}
		if file, ok := strings.CutPrefix(name, "file:"); ok {
			c.Key, c.File = "", file
		}
		if c.Old != c.New {
			changes = append(changes, c)
		}
	}
	return stale(changes)
}

// CheckConfig compares the section's configuration with the env file's: nil or a [*StaleError]. Such
// a change moves no pin, but an image that is exported from the lock would not have it.
func (s *Section) CheckConfig(want Config) error {
	var changes []Change
	add := func(key, old, now string) {
		if old != now {
			changes = append(changes, Change{Key: key, Old: old, New: now})
		}
	}
	add("env.set", joinTable(s.Config.Env), joinTable(want.Env))
	add("image.user", s.Config.User, want.User)
	add("name", s.Config.Name, want.Name)
	add("network.publish", joinItems(s.Config.Publish), joinItems(want.Publish))
	add("project.at", s.Config.ProjectAt, want.ProjectAt)
	add("task.default", joinItems(s.Config.Cmd), joinItems(want.Cmd))
	return stale(changes)
}

func stale(changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	slices.SortStableFunc(changes, func(a, b Change) int {
		if (a.Key == "") != (b.Key == "") {
			if a.Key != "" {
				return -1
			}
			return 1
		}
		return strings.Compare(a.String(), b.String())
	})
	return &StaleError{Changes: changes}
}

// Upgrade says which pins of an old lock may move.
type Upgrade struct {
	All   bool
	Names []string // of packages, wheels, tools; "base" for the image
}

// Preferences are the pins of an old lock that a new one keeps wherever they still fit.
type Preferences struct {
	Debs         map[string]string // name -> version
	Wheels       map[string]string // normalised name -> version
	Toolchain    map[string]string // tool -> version
	Interpreters []FilePin
	Image        *ImagePin // nil: look again where the reference leads
	Unknown      []string  // names in Upgrade that no pin has
}

// Preferences gives the pins of s that u does not set free. A nil section has none.
func (s *Section) Preferences(u Upgrade) Preferences {
	p := Preferences{Debs: map[string]string{}, Wheels: map[string]string{}, Toolchain: map[string]string{}}
	if s == nil {
		p.Unknown = u.Names
		return p
	}
	used := map[string]bool{}
	keep := func(name string) bool {
		for _, n := range u.Names {
			if n == name || NormalName(n) == name {
				used[n] = true
				return false
			}
		}
		return !u.All
	}
	for _, d := range s.Debs {
		if keep(d.Name) {
			p.Debs[d.Name] = d.Version
		}
	}
	for _, w := range s.Wheels {
		if keep(w.Name) && w.From != "base" {
			p.Wheels[w.Name] = w.Version
		}
	}
	for name, t := range s.Toolchain {
		if keep(name) {
			p.Toolchain[name] = t.Version
		}
	}
	for _, f := range s.Interpreters {
		if keep(f.Name) && keep("python") {
			p.Interpreters = append(p.Interpreters, f)
		}
	}
	if keep("base") {
		p.Image = &s.Image
	}
	for _, n := range u.Names {
		if !used[n] {
			p.Unknown = append(p.Unknown, n)
		}
	}
	return p
}
