package envfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestSuggest runs the archives of testdata/init: their files are a project's, "out" is the env file
// that comes out, and "notes" what is said beside it.
func TestSuggest(t *testing.T) {
	files, err := filepath.Glob("testdata/init/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, want := map[string][]byte{}, map[string]string{}
			for _, f := range a.Files {
				if f.Name == "out" || f.Name == "notes" {
					want[f.Name] = string(f.Data)
				} else if in[f.Name] = f.Data; !slices.Contains(InitFiles(), f.Name) {
					t.Errorf("not among InitFiles: %s", f.Name)
				}
			}
			out, notes := Suggest(in, "demo")
			doc, err := Parse("sandbox.toml", out)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if _, err := doc.Resolve(ResolveOptions{}); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			got := map[string]string{"out": string(out), "notes": strings.Join(append(notes, ""), "\n")}
			if *update {
				a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "out" || f.Name == "notes" })
				a.Files = append(a.Files, txtar.File{Name: "out", Data: out}, txtar.File{Name: "notes", Data: []byte(got["notes"])})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				want = got
			}
			for name, text := range got {
				if text != want[name] {
					t.Errorf("%s:\n%s", name, text)
				}
			}
		})
	}
}

func FuzzSuggest(f *testing.F) {
	files, _ := filepath.Glob("testdata/init/*.txtar")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		in := map[string][]byte{}
		for _, x := range a.Files {
			in[x.Name] = x.Data
		}
		f.Add(in["Dockerfile"], in["requirements.txt"], in["pyproject.toml"], in["environment.yml"], in[".python-version"], "demo")
	}
	f.Fuzz(func(t *testing.T, docker, reqs, project, conda, version []byte, name string) {
		in := map[string][]byte{"Dockerfile": docker, "requirements.txt": reqs, "pyproject.toml": project, "environment.yml": conda, ".python-version": version}
		for k, v := range in {
			if len(v) == 0 {
				delete(in, k)
			}
		}
		out, notes := Suggest(in, name)
		if _, err := Parse("sandbox.toml", out); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, n := range notes {
			if strings.HasPrefix(n, "what was found could not be written down") {
				t.Fatal(n)
			}
			if strings.ContainsAny(n, "\n\x1b") {
				t.Fatalf("%q", n)
			}
		}
	})
}
