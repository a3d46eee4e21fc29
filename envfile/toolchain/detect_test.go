package toolchain

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the expected output anew")

// treeFS is a fixture of testdata/trees as a file system.
func treeFS(t testing.TB, name string) fs.FS {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", "trees", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	m := fstest.MapFS{}
	for _, f := range a.Files {
		m[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return m
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", file, got)
	}
}

func TestDetect(t *testing.T) {
	files, err := filepath.Glob("testdata/trees/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no trees", err)
	}
	var b strings.Builder
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		f := Detect(FromFS(treeFS(t, name)))
		fmt.Fprintf(&b, "# %s\npython %+v\n", name, f.Python)
		for _, tool := range table() {
			for _, x := range f.Tools[tool.Name] {
				fmt.Fprintf(&b, "%s %+v\n", tool.Name, x)
			}
		}
		fmt.Fprintf(&b, "dists %v\ndebs %d\n\n", slices.Sorted(maps.Keys(f.Dists)), len(f.Debs))
	}
	golden(t, "detect.txt", b.String())
}

// linked is a tree whose /usr/bin/python3 is a link.
type linked struct{ Reader }

func (linked) Resolve(name string) (string, error) {
	if name == "/usr/bin/python3" {
		return "/usr/bin/python3.11", nil
	}
	return name, nil
}

func TestDetectFollowsTheLink(t *testing.T) {
	m := fstest.MapFS{}
	for _, f := range []string{"usr/bin/python3", "usr/bin/python3.11", "usr/bin/python3.13"} {
		m[f] = &fstest.MapFile{}
	}
	if v := Detect(FromFS(m)).Python.Version; v != "3.13" {
		t.Errorf("without links: %s", v)
	}
	if v := Detect(linked{FromFS(m)}).Python.Version; v != "3.11" {
		t.Errorf("with links: %s", v)
	}
	if v := Detect(FromFS(m), "/usr/local/bin").Python.Version; v != "" {
		t.Errorf("on another path: %s", v)
	}
}

func TestDetectHostileTree(t *testing.T) {
	m := fstest.MapFS{
		"opt/env/bin/python3.13": {}, "opt/env/pyvenv.cfg": {Data: []byte("home = /opt/env/bin\n")}, // over itself
		"usr/local/cuda/version.json":                {Data: []byte(`{"cuda": []}`)},
		"var/lib/dpkg/status":                        {Data: []byte("Package\n\n: x\nVersion\nPackage: a\nVersion: 1\n")},
		"opt/conda/conda-meta/-.json":                {},
		"opt/conda/bin/python3.99999999999999999999": {},
	}
	f := Detect(FromFS(m))
	if len(f.Tools["cuda"]) != 0 || len(f.Debs) != 0 {
		t.Errorf("%+v", f)
	}
}
