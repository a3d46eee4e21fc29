package wheel

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Tree is a folder tree to look into, such as the layers of an image laid over each other: symlinks
// must not lead out of it.
type Tree interface {
	ReadFile(path string, max int64) ([]byte, error)
	ReadDir(path string) ([]fs.DirEntry, error)
}

// Dist is one installed package.
type Dist struct {
	Name     string // as written in its metadata
	Version  string
	Path     string // of its dist-info or egg-info
	Metadata []byte // METADATA or PKG-INFO
	Editable bool
}

// Installed lists what is installed in site folders of t, the first folder winning, sorted by name.
// A folder that is not there is empty; an entry without usable metadata is passed over, as Python
// does.
func Installed(t Tree, dirs []string) ([]Dist, error) {
	var out []Dist
	seen := map[string]bool{}
	for _, dir := range dirs {
		ents, err := t.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
			continue
		}
		if err != nil {
			return nil, err
		}
		slices.SortFunc(ents, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		for _, e := range ents {
			d, ok := dist(t, path.Join(dir, e.Name()), e)
			if !ok || seen[Normalize(d.Name)] {
				continue
			}
			seen[Normalize(d.Name)] = true
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b Dist) int { return strings.Compare(Normalize(a.Name), Normalize(b.Name)) })
	return out, nil
}

func dist(t Tree, p string, e fs.DirEntry) (Dist, bool) {
	var files []string
	switch {
	case strings.HasSuffix(e.Name(), ".dist-info"):
		files = []string{p + "/METADATA"}
	case strings.HasSuffix(e.Name(), ".egg-info"):
		files = []string{p + "/PKG-INFO", p} // a folder, or the file itself
	default:
		return Dist{}, false
	}
	for _, f := range files {
		b, err := t.ReadFile(f, maxMeta)
		if err != nil {
			continue
		}
		name, version, err := ParseMetadata(b).NameVersion()
		if err != nil {
			return Dist{}, false
		}
		d := Dist{Name: name, Version: version, Path: p, Metadata: b}
		if u, err := t.ReadFile(p+"/direct_url.json", 1<<20); err == nil {
			d.Editable = strings.Contains(string(u), `"editable": true`) || strings.Contains(string(u), `"editable":true`)
		}
		return d, true
	}
	return Dist{}, false
}
