package build

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Expand gives the files below dir that patterns of [[step]] inputs mean: names, folders (all below), and
// patterns where ** is any depth. Links are not followed, and what lies in the folder without (the store,
// "" = none) is not among them. A pattern that matches nothing is an error: a typing mistake would else
// leave the step without its input.
func Expand(dir, without string, patterns []string) ([]string, error) {
	var out []string
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("inputs: not a pattern: %q", p)
		}
		found, err := expand(dir, without, path.Clean(p))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("inputs: nothing matches %q", p)
		}
		out = append(out, found...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func expand(dir, without, pattern string) (out []string, err error) {
	from, ok := fixed(dir, pattern)
	if !ok || without != "" && strings.HasPrefix(filepath.Join(dir, from)+"/", without+"/") {
		return nil, nil
	}
	err = filepath.WalkDir(filepath.Join(dir, from), func(f string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, f)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || f == without):
			return fs.SkipDir
		case rel == "sandbox.lock" || rel == "sandbox.local.toml": // it says what the inputs are; it is one machine's
			return nil
		}
		if d.Type().IsRegular() && matches(pattern, filepath.ToSlash(rel)) {
			out = append(out, rel)
		}
		return nil
	})
	return out, err
}

// fixed is the part of a pattern that stands for itself, if it is there and no link leads out of it: nothing else
// has to be looked at.
func fixed(dir, pattern string) (string, bool) {
	at := "."
	for name := range strings.SplitSeq(pattern, "/") {
		if strings.ContainsAny(name, `*?[\`) {
			break
		}
		if name == ".." || name == ".git" || path.IsAbs(pattern) {
			return "", false
		}
		at = path.Join(at, name)
		if fi, err := os.Lstat(filepath.Join(dir, at)); err != nil || fi.Mode()&fs.ModeSymlink != 0 {
			return "", false
		}
	}
	return at, true
}

// matches compares path elements; ** stands for any number of them, and a pattern that names a
// folder means everything in it.
func matches(pattern, name string) bool {
	return matchParts(strings.Split(path.Clean(pattern), "/"), strings.Split(name, "/"))
}

func matchParts(pat, name []string) bool {
	switch {
	case len(pat) == 0:
		return true // the rest lies below a folder that was named
	case pat[0] == "." && len(pat) == 1:
		return true
	case pat[0] == "**":
		if len(pat) == 1 {
			return true
		}
		for i := range name {
			if matchParts(pat[1:], name[i:]) {
				return true
			}
		}
		return false
	case len(name) == 0:
		return false
	}
	ok, err := path.Match(pat[0], name[0])
	return err == nil && ok && matchParts(pat[1:], name[1:])
}
