package envfile

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParse takes anything as any of the three files. What is refused is refused in words that a
// terminal can show; what is accepted can be resolved or refused, and says the same when it is written
// anew.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.txt")
	for _, name := range files {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(ar.Files[0].Data))
	}
	for _, text := range append(tomlCorpus, everyKey(f)) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		local, err := ParseLocal("sandbox.local.toml", []byte(text))
		checkWords(t, err)
		user, err := ParseUserConfig("config.toml", []byte(text))
		checkWords(t, err)
		doc, err := Parse("sandbox.toml", []byte(text), WithVersion("1.0"))
		checkWords(t, err)
		if err != nil {
			return
		}
		file, err := doc.Resolve(ResolveOptions{Profiles: doc.Profiles(), When: map[string]bool{"no-gpu": true}, Local: local, User: user})
		checkWords(t, err)
		if err == nil {
			_ = file.Wants().Digest()
			_ = file.Unsupported()
		}
		checkAgain(t, doc)
	})
}

func checkWords(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	msg := err.Error()
	if msg == "" || !utf8.ValidString(msg) || strings.ContainsAny(msg, "\x00\x1b\x07\r") {
		t.Fatalf("an error that no terminal should show: %q", msg)
	}
}

// checkAgain writes the document in another form and reads it again.
func checkAgain(t *testing.T, doc *Document) {
	plain, _ := doc.root.without("x", "submit", "fetch", "profile").plain().(map[string]any)
	var out bytes.Buffer
	if err := toml.NewEncoder(&out).Encode(plain); err != nil {
		return // the encoder cannot write every list
	}
	again, err := Parse("again.toml", out.Bytes(), WithVersion("1.0"))
	if err != nil {
		t.Fatalf("accepted, but not when written anew: %v\n%s\nwas:\n%s", err, out.String(), doc.src.text)
	}
	if got := again.root.plain(); !reflect.DeepEqual(got, plain) {
		t.Fatalf("written anew it says something else:\n%v\n%v", plain, got)
	}
}

// everyKey is a file that uses every key.
func everyKey(t testing.TB) string {
	b, err := os.ReadFile("testdata/every-key.toml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
