package wheel

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Wheel is one unpacked wheel.
type Wheel struct {
	Dir  string // its folder in a store
	File string // its file name, for messages
}

const listMagic = "sandbox-wheel-1"

// listed is one line of a wheel's list of files.
type listed struct {
	from string // site/…, in the wheel's folder
	sum  string
	size int64
	exec bool
}

// readList reads the list of files of an unpacked wheel.
func readList(dir string) (project string, files []listed, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "files"))
	if err != nil {
		return "", nil, err
	}
	bad := func() (string, []listed, error) {
		return "", nil, fmt.Errorf("%s: damaged list of files", dir)
	}
	head, rest, ok := bytes.Cut(b, []byte("\n"))
	h := strings.Fields(string(head))
	if !ok || len(h) != 3 || h[0] != listMagic {
		return bad()
	}
	files = make([]listed, 0, bytes.Count(rest, []byte("\n")))
	for line := range strings.Lines(string(rest)) {
		p := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(p) != 4 || checkPath(p[3]) != nil {
			return bad()
		}
		n, err := strconv.ParseInt(p[2], 10, 64)
		if err != nil {
			return bad()
		}
		files = append(files, listed{p[3], p[1], n, p[0] == "x"})
	}
	return h[1], files, nil
}

// ConflictError says that two wheels have different files for one place.
type ConflictError struct {
	Path string // below the prefix
	A, B string // file names of the wheels
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s and %s both have %s, and the two differ", e.A, e.B, e.Path)
}

// placed is one file of the prefix.
type placed struct {
	wheel int
	name  string // last part of its path in the prefix
	from  string // in the wheel's folder
	text  []byte // written instead, if not nil
	listed
}

// tree is the prefix as it is to be: folders and what is in them.
type tree struct {
	wheels   []Wheel
	dirs     map[string][]placed
	paths    map[string]place // path below the prefix
	conflict func(*ConflictError) error
}

// place is where a file stands in dirs.
type place struct {
	dir string
	n   int
}

// merge lays wheels over each other. Two wheels may have the same file (namespace packages do); two
// different files for one place are a conflict, since which one a program saw would depend on luck.
func merge(wheels []Wheel, python string, conflict func(*ConflictError) error) (*tree, error) {
	t := &tree{dirs: map[string][]placed{}, paths: map[string]place{}, wheels: wheels, conflict: conflict}
	for i, w := range wheels {
		project, files, err := readList(w.Dir)
		if err != nil {
			return nil, fmt.Errorf("wheel %s: %w", w.File, err)
		}
		headers := slices.ContainsFunc(files, func(f listed) bool { return strings.HasPrefix(f.from, "headers/") })
		for _, f := range files {
			p := placed{wheel: i, from: f.from, listed: f}
			if headers && strings.HasSuffix(f.from, ".dist-info/RECORD") && strings.Count(f.from, "/") == 2 {
				if p.text, err = versioned(filepath.Join(w.Dir, f.from), python); err != nil {
					return nil, err
				}
			}
			if err := t.add(destination(f.from, project, python), p); err != nil {
				return nil, err
			}
		}
	}
	return t, t.noFileAboveFile()
}

// noFileAboveFile finds a file of one wheel where another has a folder, the first by name so that
// the message is always the same.
func (t *tree) noFileAboveFile() error {
	var worst *ConflictError
	for _, dir := range t.folders() {
		if a, ok := t.paths[dir]; ok {
			b := t.below(dir)
			worst = &ConflictError{dir, t.wheels[t.dirs[a.dir][a.n].wheel].File, t.wheels[b.wheel].File}
			break
		}
	}
	if worst == nil {
		return nil
	}
	return worst
}

// below is some file in dir or below it.
func (t *tree) below(dir string) placed {
	for _, d := range slices.Sorted(maps.Keys(t.dirs)) {
		if d == dir || strings.HasPrefix(d, dir+"/") {
			return t.dirs[d][0]
		}
	}
	return placed{}
}

func (t *tree) add(to string, p placed) error {
	dir := path.Dir(to)
	p.name = path.Base(to)
	at, ok := t.paths[to]
	if !ok {
		t.paths[to] = place{dir, len(t.dirs[dir])}
		t.dirs[dir] = append(t.dirs[dir], p)
		return nil
	}
	o := &t.dirs[dir][at.n]
	if o.sum == p.sum && o.size == p.size {
		if p.exec && !o.exec { // executable if either says so, whatever the order
			*o = p
		}
		return nil
	}
	e := &ConflictError{to, t.wheels[o.wheel].File, t.wheels[p.wheel].File}
	if t.conflict == nil {
		return e
	}
	return t.conflict(e)
}

// Harmless says whether the conflict is over a file that programs do not read: badly made wheels
// leave their licence, tests or documents at the top of site-packages.
func (e *ConflictError) Harmless() bool {
	p := strings.SplitN(e.Path, "/", 5) // lib pythonX.Y site-packages TOP REST
	if len(p) < 4 || p[0] != "lib" || p[2] != "site-packages" {
		return false
	}
	if len(p) == 4 {
		ext := path.Ext(p[3])
		return ext == "" || ext == ".md" || ext == ".txt" || ext == ".rst"
	}
	return slices.Contains([]string{"test", "tests", "doc", "docs", "example", "examples", "benchmark", "benchmarks"}, p[3])
}

// destination gives the place of a wheel's file below the prefix.
func destination(from, project, python string) string {
	kind, rest, _ := strings.Cut(from, "/")
	switch kind {
	case "scripts":
		return "bin/" + rest
	case "headers":
		return "include/site/python" + python + "/" + project + "/" + rest
	case "data":
		return rest
	}
	return "lib/python" + python + "/site-packages/" + rest
}

// versioned gives a RECORD for one version of Python.
func versioned(record, python string) ([]byte, error) {
	b, err := os.ReadFile(record)
	if err != nil {
		return nil, err
	}
	lines, err := parseRecord(b)
	if err != nil {
		return nil, err
	}
	for i := range lines {
		if rest, ok := strings.CutPrefix(lines[i].path, "../../../include/site/python"+versionMark+"/"); ok {
			lines[i].path = "../../../include/site/python" + python + "/" + rest
		}
	}
	return formatRecord(lines), nil
}

// folders lists all folders of the prefix, parents first.
func (t *tree) folders() []string {
	all := map[string]bool{}
	for d := range t.dirs {
		for ; d != "." && !all[d]; d = path.Dir(d) {
			all[d] = true
		}
	}
	out := make([]string, 0, len(all))
	for d := range all {
		out = append(out, d)
	}
	slices.Sort(out)
	return out
}

var errPython = errors.New("python version is not like 3.11")

func checkPython(python string) error {
	if _, err := (Target{Python: python}).minor(); err != nil {
		return errPython
	}
	return nil
}
