package cdi

import (
	"debug/elf"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Soname is a name that programs ask the dynamic linker for, and where the library lies inside.
type Soname struct {
	Name, Path string
	Class      elf.Class
	Machine    elf.Machine
}

// maxLibraries bounds how many files of one folder are looked at.
const maxLibraries = 4096

// sonames makes the links that ldconfig would have made in the folders of libraries, for programs are
// linked to libcuda.so.1 and the file is libcuda.so.580.95.05, and lists what the linker has to find.
func (c *collector) sonames() {
	known := map[string]*library{} // by path inside
	for _, b := range c.edits.Binds {
		for _, dir := range c.edits.Libraries {
			switch {
			case path.Dir(b.Target) == dir:
				c.loadable(known, b.Source, b.Target)
			case within(dir, b.Target):
				c.folder(known, filepath.Join(b.Source, strings.TrimPrefix(dir, b.Target)), dir)
				continue
			}
			lib := known[b.Target]
			if lib == nil || lib.soname == "" || lib.soname == path.Base(b.Target) {
				continue
			}
			if at := path.Join(dir, lib.soname); path.Dir(b.Target) == dir && c.by[at] == "" {
				c.by[at] = "link to " + path.Base(b.Target)
				c.edits.Links = append(c.edits.Links, Link{Path: at, To: path.Base(b.Target), Why: b.Why})
			}
		}
	}
	// A link may lead to a link: libcuda.so to libcuda.so.1.
	for range 3 {
		for _, l := range c.edits.Links {
			to := l.To
			if !path.IsAbs(to) {
				to = path.Join(path.Dir(l.Path), to)
			}
			if known[l.Path] == nil && known[to] != nil && slices.Contains(c.edits.Libraries, path.Dir(l.Path)) && isLibrary(l.Path) {
				known[l.Path] = &library{Soname: Soname{path.Base(l.Path), l.Path, known[to].Class, known[to].Machine}}
			}
		}
	}
	for _, lib := range known {
		c.edits.Sonames = append(c.edits.Sonames, lib.Soname)
	}
	slices.SortFunc(c.edits.Sonames, func(a, b Soname) int { return strings.Compare(a.Path, b.Path) })
}

// folder looks at the libraries in a folder that is there as a whole.
func (c *collector) folder(known map[string]*library, source, dir string) {
	entries, err := os.ReadDir(source)
	if err != nil {
		return
	}
	for _, e := range entries[:min(len(entries), maxLibraries)] {
		c.loadable(known, filepath.Join(source, e.Name()), path.Join(dir, e.Name()))
	}
}

func (c *collector) loadable(known map[string]*library, source, target string) {
	if !isLibrary(target) || known[target] != nil {
		return
	}
	if lib := readLibrary(source); lib != nil {
		lib.Name, lib.Path = path.Base(target), target
		known[target] = lib
	}
}

func isLibrary(p string) bool { return strings.Contains(path.Base(p), ".so") }

// library is a shared library and what it calls itself, if that can be a file name.
type library struct {
	Soname
	soname string
}

func readLibrary(file string) *library {
	// Opening a pipe would wait for its other end.
	if fi, err := os.Stat(file); err != nil || !fi.Mode().IsRegular() {
		return nil
	}
	f, err := elf.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	lib := &library{Soname: Soname{Class: f.Class, Machine: f.Machine}}
	names, err := f.DynString(elf.DT_SONAME)
	if err == nil && len(names) > 0 && names[0] != "." && names[0] != ".." && !strings.ContainsAny(names[0], "/\x00") && printable(names[0]) == names[0] {
		lib.soname = names[0]
	}
	return lib
}
