package toolchain

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Reader looks into a tree of files. Paths are absolute inside it.
type Reader interface {
	// ReadFile gives a file's first max bytes; links are followed inside the tree.
	ReadFile(name string, max int64) ([]byte, error)
	// Glob gives the names (not paths) in dir that match pattern, as path.Match does. A folder that
	// is not there has none.
	Glob(dir, pattern string) ([]string, error)
}

// Resolver is what a Reader may know beside: where a path leads through links.
type Resolver interface {
	Resolve(name string) (string, error)
}

// FromFS is a Reader over a file system whose root is the tree's. It follows links only as f does.
func FromFS(f fs.FS) Reader { return fsReader{f} }

type fsReader struct{ f fs.FS }

func (r fsReader) ReadFile(name string, max int64) ([]byte, error) {
	b, err := fs.ReadFile(r.f, strings.TrimPrefix(path.Clean(name), "/"))
	return b[:min(int64(len(b)), max)], err
}

func (r fsReader) Glob(dir, pattern string) ([]string, error) {
	entries, err := fs.ReadDir(r.f, strings.TrimPrefix(path.Clean(dir), "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		if ok, _ := path.Match(pattern, e.Name()); ok {
			out = append(out, e.Name())
		}
	}
	return out, err
}

// Finding is one tool at one version, and where that was read.
type Finding struct {
	Version string
	At      string // the file
	From    string // "dist", "deb", "conda", "file"
	Says    string // what the tool reports of itself, where that differs
	With    string // the framework whose CUDA this is
}

// Python is the interpreter that programs of the tree get.
type Python struct {
	Path    string // "/usr/bin/python3.13"; "" if there is none
	Version string // "3.13.5", or "3.13" where the third number cannot be read
	Debian  bool   // Debian's own: its python3-… packages are for this one
	Sites   []string
}

// Found is what a tree of files provides.
type Found struct {
	Python Python
	Tools  map[string][]Finding // the first is the one that programs get; see [Found.Counts]
	Debs   map[string]string    // Debian packages that are installed
	Dists  map[string]string    // Python distributions, names normalised, that Python sees
}

// Counts are the findings that can satisfy a claim. Of most tools that is the one that programs get;
// libraries lie in several places, and which is used is the program's choice.
func (f Found) Counts(t Tool) []Finding {
	list := f.Tools[t.Name]
	if !t.Rides && len(list) > 1 {
		return list[:1]
	}
	return list
}

// DefaultPath is where programs are looked for when the image names no PATH.
func DefaultPath() []string {
	return []string{"/opt/env/bin", "/opt/conda/bin", "/usr/local/cuda/bin", "/usr/local/bin", "/usr/bin", "/bin"}
}

// Has is the version of a tool, "" if it is not there.
func (f Found) Has(tool string) string {
	if list := f.Tools[tool]; len(list) > 0 {
		return list[0].Version
	}
	return ""
}

// Detect reads what a tree provides from its files; nothing of it is run. binDirs are the folders of
// its PATH in order, none for the usual ones. What cannot be read is taken as not there: a claim
// then fails with what was found, which says more than an error about a file.
func Detect(r Reader, binDirs ...string) Found {
	if len(binDirs) == 0 {
		binDirs = DefaultPath()
	}
	t := &tree{r: r, path: binDirs, found: Found{Tools: map[string][]Finding{}, Dists: map[string]string{}}}
	t.found.Debs = t.dpkg()
	t.interpreter()
	t.conda = t.condaPackages()
	t.distributions()
	for _, tool := range table() {
		var list []Finding
		if tool.files != nil {
			list = tool.files(t)
		}
		if tool.Name != "pytorch" {
			list = append(list, t.dists(tool)...)
		}
		list = append(list, t.deb(tool)...)
		if list = unique(list); len(list) > 0 {
			t.found.Tools[tool.Name] = list
		}
	}
	return t.found
}

func unique(list []Finding) []Finding {
	var out []Finding
	for _, f := range list {
		if f.Version != "" && !slices.ContainsFunc(out, func(o Finding) bool { return o.Version == f.Version && o.At == f.At }) {
			out = append(out, f)
		}
	}
	return out
}

// tree is what one Detect has read so far.
type tree struct {
	r     Reader
	path  []string
	found Found
	conda map[string]condaPackage
	sites map[string]string // distribution -> the folder of its metadata
}

const maxText = 1 << 20

func (t *tree) text(name string) string {
	b, err := t.r.ReadFile(name, maxText)
	if err != nil {
		return ""
	}
	return string(b)
}

func (t *tree) names(dir, pattern string) []string {
	names, err := t.r.Glob(dir, pattern)
	if err != nil {
		return nil
	}
	slices.Sort(names)
	return names
}

// dists are the tool's Python distributions that are installed.
func (t *tree) dists(tool Tool) []Finding {
	var out []Finding
	for _, d := range tool.Dists {
		v, ok := t.found.Dists[d]
		if !ok {
			continue
		}
		f := Finding{Version: v, At: t.sites[d], From: "dist"}
		// Debian's builds often call themselves something else than what they are: 1.13.1 says 1.13.0a0.
		if len(tool.Debs) > 0 && strings.HasPrefix(f.At, "/usr/lib/python3/dist-packages/") && t.found.Debs[tool.Debs[0]] != "" {
			f = Finding{Version: Upstream(t.found.Debs[tool.Debs[0]]), At: dpkgStatus, From: "deb", Says: v}
			if f.Says == f.Version {
				f.Says = ""
			}
		}
		out = append(out, f)
		break
	}
	return out
}

// deb is the tool as an installed package. A python3-… package serves Debian's Python alone.
func (t *tree) deb(tool Tool) []Finding {
	if len(tool.Debs) == 0 || t.found.Debs[tool.Debs[0]] == "" {
		return nil
	}
	if strings.HasPrefix(tool.Debs[0], "python3") && !t.found.Python.Debian {
		return nil
	}
	return []Finding{{Version: Upstream(t.found.Debs[tool.Debs[0]]), At: dpkgStatus, From: "deb"}}
}

func sortFindings(list []Finding) {
	slices.SortFunc(list, func(a, b Finding) int {
		return strings.Compare(b.Version+b.At, a.Version+a.At)
	})
}
