package envfile

import (
	"fmt"
	"slices"
	"strings"
)

// keyLayerFormat is not a key of the env file: this version of the tool makes layers in another way.
const keyLayerFormat = "layer-format"

const hintLock = "run `sandbox lock`"

// LockError says why a lock cannot be used, and where in its text.
type LockError struct {
	Name string // of the file
	Line int    // 1 is the first; 0 where no line is to blame
	Why  string
	Help string // what to do instead of `sandbox lock`
}

func (e *LockError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.Name, e.Line, e.Why)
	}
	return e.Name + ": " + e.Why
}

// Hint is what the user can type to get on.
func (e *LockError) Hint() string {
	if e.Help != "" {
		return e.Help
	}
	return "restore " + e.Name + " from version control, or remove it and run `sandbox lock`"
}

// NewerLockError is a lock that this version of the tool cannot know how to read.
type NewerLockError struct {
	Name string
	What string // "version 2"
	Tool string // the lowest version of the tool that can, "" if the lock does not say so
}

func (e *NewerLockError) Error() string {
	return fmt.Sprintf("%s was made by a newer sandbox: %s", e.Name, e.What)
}

// Hint is what the user can type to get on.
func (e *NewerLockError) Hint() string {
	if e.Tool != "" {
		return "install sandbox " + e.Tool + " or newer"
	}
	return "install a newer sandbox; or restore " + e.Name + " from version control, if it was edited by hand"
}

// Change is one thing that differs between a lock and what it was made from.
type Change struct {
	Key  string // of the env file, "apt.packages"; or
	File string // a file that was read, "requirements.txt"
	Old  string // "" if there was none
	New  string // "" if there is none any more
}

func (c Change) String() string {
	if c.File != "" {
		return c.File
	}
	return c.Key
}

// StaleError says that a lock is older than what it was made from.
type StaleError struct {
	Changes []Change // never empty; keys first, both sorted
}

func (e *StaleError) Error() string {
	// A file that is read only since a key or another file changed says nothing of its own.
	var keys, files, moved []string
	for _, c := range e.Changes {
		switch {
		case c.Key != "":
			keys = append(keys, c.Key)
		case c.Old != "" && c.New != "":
			files = append(files, c.File)
		default:
			moved = append(moved, c.File)
		}
	}
	if len(keys) == 0 && len(files) == 0 {
		files = moved
	}
	switch {
	case slices.Contains(keys, keyLayerFormat):
		return "sandbox.lock is for layers of an older format: " + e.Changes[0].Old
	case len(keys) == 0:
		return "sandbox.lock is older than " + andList(files)
	case len(files) == 0:
		return "sandbox.lock is older than sandbox.toml: " + andList(keys) + " changed"
	}
	return "sandbox.lock is older than sandbox.toml and " + andList(files) + ": " + andList(keys) + " changed"
}

// Hint is what the user can type to get on.
func (e *StaleError) Hint() string { return hintLock }

// NoSectionError says that a lock has nothing for a platform under some profiles.
type NoSectionError struct {
	Platform string
	Profiles []string
	Have     []string // the sections that are there
}

func (e *NoSectionError) Error() string {
	s := "sandbox.lock has nothing for " + e.Platform
	switch len(e.Profiles) {
	case 0:
	case 1:
		s += " with profile " + e.Profiles[0]
	default:
		s += " with profiles " + andList(e.Profiles)
	}
	return s
}

// Hint is what the user can type to get on.
func (e *NoSectionError) Hint() string {
	cmd := "sandbox lock"
	if len(e.Have) > 0 && !slices.ContainsFunc(e.Have, e.hasPlatform) { // the other platforms' stay as they are
		cmd += " --platform " + e.Platform
	}
	for _, p := range e.Profiles {
		cmd += " --profile " + p
	}
	return "run `" + cmd + "`"
}

func (e *NoSectionError) hasPlatform(section string) bool {
	platform, _, _ := strings.Cut(section, "+")
	return platform == SectionName(e.Platform, nil)
}

// andList joins words as one says them, with all after the fifth counted.
func andList(v []string) string {
	const most = 5
	if len(v) > most+1 {
		v = append(append([]string(nil), v[:most]...), fmt.Sprintf("%d more", len(v)-most))
	}
	if len(v) < 2 {
		return strings.Join(v, "")
	}
	return strings.Join(v[:len(v)-1], ", ") + " and " + v[len(v)-1]
}
