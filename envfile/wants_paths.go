package envfile

import (
	"path"
	"strings"
)

// paths asks for everything that lies outside of the project: its root if that is above the env
// file's folder, and files that the environment is made from.
func (w *wanting) paths() {
	f := w.f
	if root := f.Project.Root; root != "" && leaves(root) {
		w.add([]string{"project", "root"}, "folder "+root, "", root)
	}
	w.base([]string{"image", "base"}, f.Image.Base)
	w.file([]string{"image", "keyring"}, f.Image.Keyring)
	w.file([]string{"image", "dockerfile"}, f.Image.Dockerfile)
	for i, s := range f.Apt.Sources {
		w.file([]string{"apt", "source", elem(i), "key"}, s.Key)
	}
	w.files([]string{"python", "requirements"}, f.Python.Requirements)
	w.files([]string{"python", "constraints"}, f.Python.Constraints)
	w.file([]string{"python", "project"}, f.Python.Project)
	for i, s := range f.Steps {
		w.files([]string{"step", elem(i), "inputs"}, s.Inputs)
	}
	for i, ref := range f.Sources.Vendor {
		w.base([]string{"sources", "vendor", elem(i)}, ref)
	}
}

func (w *wanting) files(at []string, paths []string) {
	for i, p := range paths {
		w.file(append(at[:len(at):len(at)], elem(i)), p)
	}
}

func (w *wanting) base(at []string, ref string) {
	if b, err := ParseBase(ref); ref != "" && err == nil {
		w.file(at, b.Path)
	}
}

func (w *wanting) file(at []string, p string) {
	if p != "" && w.leaves(p) {
		w.add(at, "path "+p, "", p)
	}
}

// leaves reports whether a path, relative to the env file, lies neither below the env file's folder
// nor below the project root. It looks at the text alone; symlinks are looked at when files are
// opened.
func (w *wanting) leaves(p string) bool {
	if path.IsAbs(p) {
		return true
	}
	if !leaves(p) {
		return false
	}
	p, root := path.Clean(p), path.Clean(w.f.Project.Root)
	if strings.Trim(root, "./") == "" && leaves(root) {
		// ".." or "../..": everything that goes up no further is below it.
		return ups(p) > ups(root)
	}
	return p != root && !strings.HasPrefix(p, root+"/")
}

func ups(p string) int {
	n := 0
	for p == ".." || strings.HasPrefix(p, "../") {
		n++
		p = strings.TrimPrefix(strings.TrimPrefix(p, ".."), "/")
	}
	return n
}
