package wheel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

const hashA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
const hashB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

const htmlBody = `<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.1"></head><body>
<a href="../../files/foo-1.0-py3-none-any.whl#sha256=` + hashA + `" data-requires-python="&gt;=3.8" data-dist-info-metadata="sha256=` + hashB + `">foo-1.0-py3-none-any.whl</a>
<a href="https://other.invalid/foo-1.1.tar.gz" data-yanked="broken">foo-1.1.tar.gz</a>
<a href="file:///etc/passwd">x</a><a href="javascript:1">foo-2-py3-none-any.whl</a><a>no link</a>
<a href="/x/foo-3-py3-none-any.whl" data-yanked>z</a><a href="sub/">folder</a></body></html>`

const jsonBody = `{"meta":{"api-version":"1.1"},"name":"foo","files":[
{"filename":"foo-1.0-py3-none-any.whl","url":"../../files/foo-1.0-py3-none-any.whl","hashes":{"sha256":"` + hashA + `"},"requires-python":">=3.8","size":12,"upload-time":"2024-01-02T03:04:05Z","core-metadata":{"sha256":"` + hashB + `"},"yanked":false},
{"filename":"foo-1.1.tar.gz","url":"https://other.invalid/foo-1.1.tar.gz","hashes":{},"yanked":"broken"},
{"filename":"../x.whl","url":"x","hashes":{}},
{"filename":"foo-3-py3-none-any.whl","url":"/x/foo-3-py3-none-any.whl","hashes":{"sha256":"zz"},"requires-python":null,"size":null,"yanked":true}]}`

// server is an index on loopback that wants a password and speaks one of the two forms.
func server(t *testing.T, kind, body string) Index {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		switch {
		case user != "u" || pass != "p":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/simple/foo/":
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, body)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return Index{Name: "corp", URL: strings.Replace(s.URL, "://", "://u:p@", 1) + "/simple"}
}

func TestFilesOfBothForms(t *testing.T) {
	for kind, body := range map[string]string{"text/html; charset=utf-8": htmlBody, "application/vnd.pypi.simple.v1+json": jsonBody} {
		idx := server(t, kind, body)
		c := NewClient(fetch.New(fetch.Options{}))
		files, err := c.Files(context.Background(), idx, "Foo")
		if err != nil || len(files) != 3 {
			t.Fatalf("%s: %+v, %v", kind, files, err)
		}
		root := strings.TrimSuffix(idx.URL, "/simple")
		f := files[0]
		if f.URL != root+"/files/foo-1.0-py3-none-any.whl" || f.SHA256 != hashA || f.RequiresPython != ">=3.8" || f.Metadata != hashB || f.Yanked || f.Index != "corp" {
			t.Errorf("%s: %+v", kind, f)
		}
		if f := files[1]; f.URL != "https://other.invalid/foo-1.1.tar.gz" || !f.Yanked || f.YankedWhy != "broken" || f.Size != -1 {
			t.Errorf("%s: %+v", kind, f)
		}
		if f := files[2]; f.URL != root+"/x/foo-3-py3-none-any.whl" || !f.Yanked || f.SHA256 != "" {
			t.Errorf("%s: %+v", kind, f)
		}
		_, err = c.Files(context.Background(), idx, "bar")
		var none *NoProjectError
		if !errors.As(err, &none) || none.Project != "bar" || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %v", kind, err)
		}
		_, err = c.Files(context.Background(), idx, "../../admin")
		wantError(t, err, "not the name of a Python package")
	}
}

func TestFilesRefusesOtherAnswers(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"application/vnd.pypi.simple.v1+json", `{"meta":{"api-version":"2.0"}}`, "unknown version"},
		{"text/html", `<meta name="pypi:repository-version" content="2.0">`, "unknown version"},
		{"application/vnd.pypi.simple.v1+json", `{`, "unexpected end"},
		{"image/png", `x`, "not a page of a Python index"},
	} {
		_, err := NewClient(fetch.New(fetch.Options{})).Files(context.Background(), server(t, c.kind, c.body), "foo")
		wantError(t, err, c.want)
	}
}

func TestFind(t *testing.T) {
	idx := server(t, "text/html", htmlBody)
	c := NewClient(fetch.New(fetch.Options{}))
	find := func(pin Pin) (File, error) { return c.Find(context.Background(), []Index{{Name: "no"}, idx}, pin) }
	pin := Pin{Name: "foo", Version: "1.0", File: "foo-1.0-py3-none-any.whl", SHA256: hashA, Index: "corp"}
	if f, err := find(pin); err != nil || f.SHA256 != hashA {
		t.Errorf("%+v, %v", f, err)
	}
	changed := pin
	changed.SHA256 = hashB
	_, err := find(changed)
	wantError(t, err, "another content")
	gone := pin
	gone.File = "foo-0.9-py3-none-any.whl"
	_, err = find(gone)
	wantError(t, err, "versions on offer: 1.0")
	unknown := pin
	unknown.Name, unknown.Index = "bar", "corp"
	_, err = find(unknown)
	var none *NoProjectError
	if !errors.As(err, &none) {
		t.Errorf("error = %v", err)
	}
	unknown.Index = "nowhere"
	_, err = find(unknown)
	wantError(t, err, "no Python index is known")
}

func TestLocalFolders(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"foo-1.0-py3-none-any.whl", "foo-bar-2.0.tar.gz", "foo-2.0.tar.gz", "x.txt"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := NewClient(fetch.New(fetch.Options{}))
	files, err := c.Files(context.Background(), Index{Name: Default, URL: "file://" + dir, Flat: true}, "foo")
	if err != nil || len(files) != 2 {
		t.Fatalf("%+v, %v", files, err)
	}
	for _, f := range files {
		if _, _, remote := f.Source(); remote {
			t.Errorf("%s passes for remote", f.URL)
		}
		r, err := f.OpenLocal()
		if err != nil {
			t.Error(err)
		} else {
			r.Close()
		}
	}
	if got := Versions(files); len(got) != 2 || got[0] != "2.0" {
		t.Errorf("versions = %v", got)
	}
	if files, err := c.Files(context.Background(), Index{URL: "file:///nonexistent", Flat: true}, "foo"); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
}

// indexWorld is a made-up machine, with files written as they are asked for.
type indexWorld struct {
	t         *testing.T
	home, etc string
	env       map[string]string
	Settings
}

func newIndexWorld(t *testing.T) *indexWorld {
	w := &indexWorld{t: t, home: t.TempDir(), etc: t.TempDir()}
	w.env = map[string]string{"HOME": w.home}
	w.Settings = Settings{Getenv: func(k string) string { return w.env[k] }, Etc: w.etc}
	return w
}

func (w *indexWorld) write(p, s string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(s), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// def says what the default index has to be, and where it has to come from.
func (w *indexWorld) def(want, from string) {
	w.t.Helper()
	set, err := Indexes(context.Background(), w.Settings)
	if err != nil {
		w.t.Fatal(err)
	}
	x, err := set.Default()
	if want == "" && !errors.Is(err, ErrNoIndex) || want != "" && (err != nil || x.URL != want || !strings.Contains(set.From, from)) {
		w.t.Errorf("default = %s from %s, want %s from %s (%v)", x.URL, set.From, want, from, err)
	}
}

// Each place wins over those before it.
func TestIndexesOrder(t *testing.T) {
	w := newIndexWorld(t)
	w.def("", "")
	pip := filepath.Join(t.TempDir(), "pip")
	w.write(filepath.Join(pip, "_internal/models/index.py"), "x = 1\nPyPI = PackageIndex(\"https://pip.invalid/\", file_storage_domain=\"f.invalid\")\n")
	w.Pips = []string{"/nonexistent.whl", pip}
	w.def("https://pip.invalid/simple", pip)
	whl := filepath.Join(t.TempDir(), "pip-1-py3-none-any.whl")
	writeZip(t, whl, []entry{{name: pipModels, body: "PyPI = PackageIndex(\n    'https://whl.invalid', file_storage_domain='x')\n"}})
	w.Pips = []string{whl}
	w.def("https://whl.invalid/simple", whl)
	w.write(filepath.Join(w.etc, "uv/uv.toml"), "[[index]]\nurl = \"https://uvtoml.invalid/s\"\ndefault = true\n[[index]]\nurl='https://secret.invalid'\nexplicit=true\n[pip]\nextra-index-url=['https://extra.invalid/s/']\n")
	w.def("https://uvtoml.invalid/s", "uv.toml")
	w.write(filepath.Join(w.etc, "pip.conf"), "[global]\nindex-url = https://etc.invalid/s\nfind-links =\n    /wheels\n    https://links.invalid/x\n")
	w.def("https://etc.invalid/s", "pip.conf")
	w.write(filepath.Join(w.home, ".config/pip/pip.conf"), "[global]\n; c\nindex_url: https://home.invalid/s\n[install]\nextra-index-url=https://e1.invalid\n  https://e2.invalid\n")
	w.def("https://home.invalid/s", ".config/pip")
	w.env["PIP_INDEX_URL"] = "https://pipvar.invalid/s"
	w.def("https://pipvar.invalid/s", "PIP_")
	w.env["UV_DEFAULT_INDEX"] = "https://uvvar.invalid/s/"
	w.env["UV_INDEX"] = "name=https://named.invalid/s https://u:p@plain.invalid/s"
	w.def("https://uvvar.invalid/s", "UV_")
	w.User = map[string]string{Default: "https://user.invalid/s", "corp": "https://u:p@mirror.invalid/s"}
	w.def("https://user.invalid/s", "user")
	w.File = []Index{{Name: "corp", URL: "https://corp.invalid/s", Only: []string{"Corp_Lib"}}, {Name: Default, URL: "https://file.invalid/s"}}
	w.def("https://file.invalid/s", "sandbox.toml")
	w.User[Default] = "https://u:p@file.invalid/s"
	w.def("https://u:p@file.invalid/s", "sandbox.toml")

	set, err := Indexes(context.Background(), w.Settings)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range set.List {
		got = append(got, x.Name+" "+x.URL)
	}
	want := "corp https://u:p@mirror.invalid/s,default https://named.invalid/s,default https://u:p@plain.invalid/s,default https://e1.invalid,default https://e2.invalid,default https://extra.invalid/s,default https://u:p@file.invalid/s,default file:///wheels,default https://links.invalid/x"
	if strings.Join(got, ",") != want {
		t.Errorf("list:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.ReplaceAll(want, ",", "\n"))
	}
	if !set.List[0].Serves("corp.lib") || set.List[0].Serves("other") {
		t.Error("only is not heeded")
	}
}

// The switches of pip and uv for working without an index.
func TestNoIndex(t *testing.T) {
	w := newIndexWorld(t)
	w.env["PIP_NO_INDEX"], w.env["PIP_INDEX_URL"], w.env["PIP_FIND_LINKS"] = "1", "https://a.invalid/s", "/wheels"
	w.def("", "")
	w.File = []Index{{Name: Default, URL: "https://file.invalid/s"}}
	w.def("https://file.invalid/s", "sandbox.toml")
}

func TestIndexesRefusesOtherAddresses(t *testing.T) {
	for _, u := range []string{"ftp://x.invalid", "relative/path", "https://", "file:relative"} {
		_, err := Indexes(context.Background(), Settings{File: []Index{{Name: Default, URL: u}}})
		wantError(t, err, "not an address of a Python index")
	}
	_, err := Indexes(context.Background(), Settings{File: []Index{{Name: Default, URL: "ftp://u:secret@x.invalid"}}})
	if strings.Contains(fmt.Sprint(err), "secret") {
		t.Errorf("a password is shown: %v", err)
	}
}

// The pip of this machine knows its index, and asking it runs nothing of the folder we are in.
func TestDefaultOfTheHostsPip(t *testing.T) {
	testenv.Need(t, "index")
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "pip"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pip/__init__.py"), []byte("raise SystemExit(print('https://evil.invalid'))"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	only := map[string]bool{"PATH": true, "HOME": true, "PYENV_ROOT": true}
	set, err := Indexes(context.Background(), Settings{RunPython: true, Getenv: func(k string) string {
		if only[k] {
			return os.Getenv(k)
		}
		return ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	x, err := set.Default()
	if err != nil || strings.Contains(x.URL, "evil") {
		t.Errorf("%v, %v", x, err)
	}
}
