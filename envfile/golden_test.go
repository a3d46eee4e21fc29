package envfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// Every file below testdata/bad is one class of mistake: the files as a user would write them, and
// the exact message. The comment of an archive may hold options: "profile: NAME", "version: V",
// "no-gpu".
func TestBadFilesGiveTheseWords(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d golden files: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := "accepted\n"
			if err := readArchive(ar); err != nil {
				got = err.Error() + "\n"
			}
			want := ""
			for i, f := range ar.Files {
				if f.Name == "want" {
					want, ar.Files = string(f.Data), ar.Files[:i]
					break
				}
			}
			if got == want {
				return
			}
			if !*update {
				t.Fatalf("got:\n%s\nwant:\n%s", got, want)
			}
			ar.Files = append(ar.Files, txtar.File{Name: "want", Data: []byte(got)})
			if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// readArchive does what a command does before it starts: all files are read, merged and checked.
func readArchive(ar *txtar.Archive) error {
	var o ResolveOptions
	var opts []Option
	for line := range strings.Lines(string(ar.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "profile":
			o.Profiles = append(o.Profiles, value)
		case "version":
			opts = append(opts, WithVersion(value))
		case "no-gpu":
			o.When = map[string]bool{"no-gpu": true}
		}
	}
	var doc *Document
	var err error
	for _, f := range ar.Files {
		src := unescape(f.Data)
		switch f.Name {
		case "sandbox.toml":
			doc, err = Parse(f.Name, src, opts...)
		case "sandbox.local.toml":
			o.Local, err = ParseLocal(f.Name, src, opts...)
		case "config.toml":
			o.User, err = ParseUserConfig(f.Name, src)
		}
		if err != nil {
			return err
		}
	}
	if doc == nil {
		return nil
	}
	f, err := doc.Resolve(o)
	if err != nil {
		return err
	}
	return f.Wants().Err()
}

// unescape lets golden files hold bytes that editors and Git do not like.
func unescape(b []byte) []byte {
	return []byte(strings.NewReplacer(`<NUL>`, "\x00", `<ESC>`, "\x1b", `<FF>`, "\xff", `<CR>`, "\r", `<BOM>`, "\ufeff").Replace(string(b)))
}
