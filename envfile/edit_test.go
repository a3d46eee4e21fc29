package envfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestEdit runs the archives of testdata/edit: in each, file "in" is changed by the commands of the
// comment ("add apt git"), and file "out" is what comes out, messages included.
func TestEdit(t *testing.T) {
	files, err := filepath.Glob("testdata/edit/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := string(runEdits(string(a.Comment), bytes.Clone(a.Files[0].Data)))
			if *update {
				a.Files = append(a.Files[:1], txtar.File{Name: "out", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(a.Files[1].Data); got != want {
				t.Errorf("got:\n%s", got)
			}
		})
	}
}

func runEdits(commands string, src []byte) []byte {
	var messages string
	for line := range strings.Lines(commands) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(f) < 3 || strings.HasPrefix(line, "#") {
			continue
		}
		do := Add
		if f[0] == "remove" {
			do = Remove
		}
		if out, err := do(src, f[1], f[2]); err != nil {
			messages += strings.TrimSpace(line) + "\n" + message(err)
		} else {
			src = out
		}
	}
	if messages != "" {
		src = append(src, "---- "+messages...)
	}
	return src
}

func TestEditKeepsLineEndsAndMark(t *testing.T) {
	src := "\ufeff[apt]\r\npackages = [\r\n  \"a1\", # first\r\n]\r\n"
	out, err := Add([]byte(src), "apt", "git")
	if want := "\ufeff[apt]\r\npackages = [\r\n  \"a1\", # first\r\n  \"git\",\r\n]\r\n"; err != nil || string(out) != want {
		t.Errorf("%q %v", out, err)
	}
	out, err = Remove(out, "apt", "a1")
	if want := "\ufeff[apt]\r\npackages = [\r\n  \"git\",\r\n]\r\n"; err != nil || string(out) != want {
		t.Errorf("%q %v", out, err)
	}
	if out, err := Add(nil, "apt", "git"); err != nil || string(out) != "[apt]\npackages = [\"git\"]\n" {
		t.Errorf("%q %v", out, err)
	}
}

func TestEditRefusesBadItems(t *testing.T) {
	for _, c := range [][2]string{
		{"apt", "git curl"}, {"apt", "-o=x"}, {"apt", "Git\n"}, {"apt", ""}, {"python", "-r x.txt"}, {"python", "--index-url=x"},
		{"python", "a\nb"}, {"toolchain", "pytroch=2"}, {"toolchain", "python=latest"}, {"pass", "A=B"}, {"nothing", "x"},
	} {
		if out, err := Add([]byte("[apt]\n"), c[0], c[1]); err == nil {
			t.Errorf("%s %q: %s", c[0], c[1], out)
		}
	}
	_, err := Remove([]byte("[apt]\npackages = [\"gitk\", \"hello\"]\n"), "apt", "git")
	if e, ok := errors.AsType[*AbsentError](err); !ok || e.Near != "gitk" {
		t.Errorf("%T %v", err, err)
	}
	_, err = Add([]byte("[apt\n"), "apt", "git")
	if _, ok := errors.AsType[*EditError](err); !ok {
		t.Errorf("%T %v", err, err)
	}
}

func FuzzEdit(f *testing.F) {
	files, _ := filepath.Glob("testdata/edit/*.txtar")
	for _, file := range files {
		if a, err := txtar.ParseFile(file); err == nil {
			f.Add(a.Files[0].Data, true)
			f.Add(a.Files[0].Data, false)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, apt bool) {
		kind, item := "python", "zz-new-one>=1"
		if apt {
			kind, item = "apt", "zz-new-one"
		}
		out, err := Add(src, kind, item)
		if err != nil {
			return
		}
		// No comment is lost, and what was added can be taken away again.
		if c, d := strings.Count(string(src), "#"), strings.Count(string(out), "#"); c != d {
			t.Fatalf("%d marks became %d:\n%s", c, d, out)
		}
		again, err := Add(out, kind, item)
		if err != nil || string(again) != string(out) {
			t.Fatalf("added twice: %v\n%s", err, again)
		}
		if _, err := Remove(out, kind, "zz-new-one"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
}
