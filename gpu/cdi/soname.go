package cdi

import (
	"debug/elf"
	"os"
	"path"
	"slices"
	"strings"
)

// sonames makes the links that ldconfig would have made in the folders of libraries: programs are linked
// to libcuda.so.1, and the file is libcuda.so.580.95.05.
func (c *collector) sonames() {
	for _, b := range c.edits.Binds {
		dir, base := path.Split(b.Target)
		if !slices.Contains(c.edits.Libraries, path.Clean(dir)) || !strings.Contains(base, ".so") {
			continue
		}
		name := soname(b.Source)
		if name == "" || name == base || strings.ContainsAny(name, "/\x00") || printable(name) != name || name == "." || name == ".." {
			continue
		}
		if at := path.Join(dir, name); c.by[at] == "" {
			c.by[at] = "link to " + base
			c.edits.Links = append(c.edits.Links, Link{Path: at, To: base, Why: b.Why})
		}
	}
}

// soname is the name under which programs know a library, or "".
func soname(file string) string {
	// Opening a pipe would wait for its other end.
	if fi, err := os.Stat(file); err != nil || !fi.Mode().IsRegular() {
		return ""
	}
	f, err := elf.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	names, err := f.DynString(elf.DT_SONAME)
	if err != nil || len(names) == 0 {
		return ""
	}
	return names[0]
}
