package sandbox

import (
	"fmt"
	"io/fs"
	"path/filepath"
)

// manyChanged bounds how many files are counted: a shell must not take long to end.
const manyChanged = 10000

// changedFiles counts what a writable layer holds beyond caches: files, links, and what was removed.
func changedFiles(upper string) (n int) {
	_ = filepath.WalkDir(upper, func(p string, d fs.DirEntry, err error) error {
		if err != nil { // a folder that its owner closed
			return nil
		}
		rel, err := filepath.Rel(upper, p)
		if err != nil || rel == "." {
			return err
		}
		switch {
		case litter(rel) && d.IsDir():
			return fs.SkipDir
		case d.IsDir(), litter(rel):
			return nil
		case n == manyChanged:
			n++
			return fs.SkipAll
		}
		n++
		return nil
	})
	return n
}

// sayKept tells at the end of a shell what was changed outside of the project, and how to go on with it or to hand it
// on. name is the kept sandbox, last says that it is only the last shell of its project.
func (m *Manager) sayKept(name string, last bool) {
	n := changedFiles(filepath.Join(m.l.Sandboxes(), name, "upper"))
	if n == 0 {
		return
	}
	files := fmt.Sprintf("%d files", n)
	switch {
	case n == 1:
		files = "1 file"
	case n > manyChanged:
		files = fmt.Sprintf("more than %d files", manyChanged)
	}
	if last {
		m.notice("%s changed outside of the project, kept for a week: sandbox shell --resume goes on", files)
	} else {
		m.notice("%s changed outside of the project, kept: sandbox shell --name %s goes on, sandbox rm %s removes them", files, name, name)
	}
	m.notice("sandbox commit %s REF makes an image of them", name)
}
