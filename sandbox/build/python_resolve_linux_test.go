package build

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/wheel"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// baseWith is a layer with installed packages: "name version" to further metadata.
func baseWith(t *testing.T, dists map[string]string) string {
	t.Helper()
	files := map[string]string{}
	for nv, more := range dists {
		name, version, _ := strings.Cut(nv, " ")
		files["usr/lib/python3/dist-packages/"+name+"-"+version+".dist-info/METADATA"] = "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n" + more
	}
	root := tree(t, files)
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

func testBaseStays(t *testing.T, base pyBase) {
	img := baseWith(t, map[string]string{
		"numpy 1.24.2": "", "six 1.15.0": "", "torch 2.5.1+cu124": "Requires-Dist: numpy\nRequires-Dist: nvidia-cublas-cu12==12.4.5.8\nRequires-Dist: sympy==1.13.1\n",
	})
	e := base.env(img)
	get := func(want string, packages ...string) {
		t.Helper()
		var said []string
		b := pyBuilder(t, t.TempDir(), t.TempDir(), base.Env, envfile.Python{Packages: packages})
		b.Notice = func(s string) { said = append(said, s) }
		sec, err := base.lock(t, b, e, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(slices.DeleteFunc(pinned(sec), func(s string) bool { return strings.HasPrefix(s, "pip ") }), ", ")
		if got != want {
			t.Errorf("%v: %s, want %s", packages, got, want)
		}
		if strings.Contains(want, "1.16.0") && !strings.Contains(strings.Join(said, "\n"), "six 1.16.0 is used instead of 1.15.0, which the base has") {
			t.Errorf("said: %v", said)
		}
	}
	get("numpy 1.24.2 base, torch 2.5.1+cu124 base", "torch>=2")
	get("six 1.15.0 base", "six")
	get("numpy 1.24.2 base, six 1.16.0, torch 2.5.1+cu124 base", "six==1.16.0", "torch")
	b := pyBuilder(t, t.TempDir(), t.TempDir(), base.Env, envfile.Python{Packages: []string{"pandas", "six>=1.16"}})
	sec, err := base.lock(t, b, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := pinned(sec); !slices.Contains(got, "numpy 1.24.2 base") || versionOf(sec, "pandas") >= "3" || versionOf(sec, "six") < "1.16" {
		t.Errorf("numpy of the base should have held pandas back while six moves: %v", got)
	}
}

func testPinsStay(t *testing.T, base pyBase) {
	b := pyBuilder(t, t.TempDir(), t.TempDir(), base.Env, envfile.Python{Packages: []string{"requests"}})
	sec, err := base.lock(t, b, base.env(), map[string]string{"requests": "2.31.0", "idna": "3.6"})
	if err != nil {
		t.Fatal(err)
	}
	if versionOf(sec, "requests") != "2.31.0" || versionOf(sec, "idna") != "3.6" {
		t.Errorf("%v", pinned(sec))
	}
	again, err := base.lock(t, b, base.env(), map[string]string{"requests": "2.31.0", "idna": "3.6", "certifi": versionOf(sec, "certifi")})
	if err != nil || strings.Join(pinned(again), ",") != strings.Join(pinned(sec), ",") {
		t.Errorf("%v, then %v, %v", pinned(sec), pinned(again), err)
	}
	b.File.Python.Packages = []string{"requests>=2.32"}
	sec, err = base.lock(t, b, base.env(), map[string]string{"requests": "2.31.0", "idna": "3.6"})
	if err != nil || versionOf(sec, "requests") < "2.32" || versionOf(sec, "idna") != "3.6" {
		t.Errorf("%v, %v", pinned(sec), err)
	}
}

func testResolveErrors(t *testing.T, base pyBase) {
	for _, c := range []struct{ req, want, help string }{
		{"sandbox-no-such-package-zz", "no such Python package: sandbox-no-such-package-zz", "spelling"},
		{"six==1.99", "python package six has no version 1.99; the nearest: 1.1", ""},
		{"antlr4-python3-runtime==4.9.3", "antlr4-python3-runtime 4.9.3 has only a source distribution", "wheels"},
		{"torch==1.7.1", "torch 1.7.1 has no wheel with a matching Python ABI tag", "cp39"},
		{"six @ file:///nonexistent/six-1.0-py3-none-any.whl", "python packages cannot be resolved: ", ""},
	} {
		b := pyBuilder(t, t.TempDir(), t.TempDir(), base.Env, envfile.Python{Packages: []string{c.req}})
		_, err := base.lock(t, b, base.env(), nil)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || !strings.Contains(strings.Join(hint.Of(err), " "), c.help) {
			t.Errorf("%s: %v (hints %v), want %q", c.req, err, hint.Of(err), c.want)
		}
	}
	b := pyBuilder(t, t.TempDir(), t.TempDir(), base.Env, envfile.Python{Packages: []string{"numpy==1.24.2", "pandas>=3"}})
	_, err := base.lock(t, b, base.env(), nil)
	var r *ResolveError
	if !errors.As(err, &r) || !strings.Contains(err.Error(), "you require numpy==1.24.2 and pandas>=3") {
		t.Errorf("conflict: %v", err)
	}
	b.Offline = true
	if _, err := base.lock(t, b, base.env(), nil); err == nil || !strings.Contains(err.Error(), "--offline") {
		t.Errorf("offline: %v", err)
	}
	b.File.Python.Sdist.Allow, b.Offline = true, false
	if _, err := base.lock(t, b, base.env(), nil); err == nil || !strings.Contains(err.Error(), "not supported by this version") {
		t.Errorf("source builds: %v", err)
	}
}

// testWheel is a wheel of pure Python.
func testWheel(t *testing.T, name, version string, requires ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	info := name + "-" + version + ".dist-info/"
	for _, f := range [][2]string{
		{name + ".py", "version = '" + version + "'\n"},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n" + strings.Join(requires, "")},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}, {info + "RECORD", ""},
	} {
		w, err := z.Create(f[0])
		if err == nil {
			_, err = w.Write([]byte(f[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// privateIndex serves corp_thing and a poisoned six, and wants a password.
func privateIndex(t *testing.T) (url string) {
	t.Helper()
	files := map[string][]byte{"corp_thing-1.0-py3-none-any.whl": testWheel(t, "corp_thing", "1.0", "Requires-Dist: six\n"), "six-99.0-py3-none-any.whl": testWheel(t, "six", "99.0")}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "me" || p != "s3cret" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		name := strings.Trim(strings.TrimPrefix(r.URL.Path, "/simple"), "/")
		if b, ok := files[name]; ok {
			w.Write(b)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		for f, b := range files {
			if strings.HasPrefix(strings.ReplaceAll(f, "_", "-"), name+"-") {
				sum := sha256.Sum256(b)
				fmt.Fprintf(w, "<a href=\"/%s#sha256=%s\">%s</a>\n", f, hex.EncodeToString(sum[:]), f)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.URL + "/simple"
}

func testOnlyIndex(t *testing.T, base pyBase) {
	address := privateIndex(t)
	b := pyBuilder(t, t.TempDir(), t.TempDir(), base.Env, envfile.Python{
		Packages: []string{"corp-thing"}, Indexes: []envfile.PythonIndex{{Name: "corp", URL: address, Only: []string{"Corp_Thing"}}},
	})
	b.User = &envfile.UserConfig{Index: map[string]envfile.UserIndex{"corp": {URL: strings.Replace(address, "://", "://me:s3cret@", 1)}}}
	e := base.env()
	sec, err := base.lock(t, b, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := pinned(sec)
	if !slices.Contains(got, "corp-thing 1.0 corp") || versionOf(sec, "six") == "99.0" || versionOf(sec, "six") == "" {
		t.Errorf("%v", got)
	}
	b.urls = nil // as on another machine, which has only the lock
	if err := b.addPython(context.Background(), e, sec, pythonEpoch); err != nil {
		t.Fatal(err)
	}
	if out := runInside(t, b, e, "python -c 'import corp_thing; print(corp_thing.version)'"); out != "1.0\n" {
		t.Errorf("%q", out)
	}
	b.User, b.known = &envfile.UserConfig{}, wheel.Set{}
	if _, err := base.lock(t, b, base.env(), nil); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("without the password: %v", err)
	}
}

func testProjectLocks(t *testing.T, base pyBase) {
	want := "idna 3.7, six 1.16.0"
	lock := func(project string, py envfile.Python) (string, error) {
		b := pyBuilder(t, t.TempDir(), project, base.Env, py)
		sec, err := base.lock(t, b, base.env(), nil)
		return strings.Join(slices.DeleteFunc(pinned(sec), func(s string) bool { return strings.HasPrefix(s, "pip ") }), ", "), err
	}
	b := pyBuilder(t, t.TempDir(), t.TempDir(), base.Env, envfile.Python{Packages: []string{"six==1.16.0", "idna==3.7"}})
	sec, err := base.lock(t, b, base.env(), nil)
	if err != nil {
		t.Fatal(err)
	}
	pylock, uvlock := "lock-version = \"1.0\"\ncreated-by = \"t\"\n", "version = 1\nrequires-python = \">=3.9\"\n\n[[package]]\nname = \"demo\"\nversion = \"0.1\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"idna\" }, { name = \"six\" }]\n"
	for _, w := range sec.Wheels {
		if w.Name == "pip" {
			continue
		}
		file := "{ url = \"https://author.invalid/" + w.File + "\", size = " + fmt.Sprint(w.Size) + ", "
		pylock += "[[packages]]\nname = \"" + w.Name + "\"\nversion = \"" + w.Version + "\"\nindex = \"https://author.invalid/simple\"\nwheels = [" + file + "hashes = { sha256 = \"" + w.SHA256 + "\" } }]\n"
		uvlock += "\n[[package]]\nname = \"" + w.Name + "\"\nversion = \"" + w.Version + "\"\nsource = { registry = \"https://author.invalid/simple\" }\nwheels = [" + file + "hash = \"sha256:" + w.SHA256 + "\" }]\n"
	}
	project := tree(t, map[string]string{
		"pylock.toml": pylock, "uv.lock": uvlock,
		"pyproject.toml": "[project]\nname = \"demo\"\nversion = \"0.1\"\nrequires-python = \">=3.9\"\ndependencies = [\"six\", \"idna\"]\n",
	})
	for _, name := range []string{"pylock.toml", "uv.lock"} {
		if got, err := lock(project, envfile.Python{Project: name}); err != nil || got != want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		got, err := lock(project, envfile.Python{Project: name, Packages: []string{"toolz==1.0.0"}})
		if err != nil || got != want+", toolz 1.0.0" {
			t.Errorf("%s and a package: %s, %v", name, got, err)
		}
	}
	if _, err := lock(project, envfile.Python{Project: "pylock.toml", Packages: []string{"six>=1.17"}}); !isResolveError(err) {
		t.Errorf("a package against the lock: %v", err)
	}
}

func testExtras(t *testing.T, base pyBase) {
	project := tree(t, map[string]string{"sub/pyproject.toml": `[project]
name = "demo"
version = "0.1"
dependencies = ["six==1.16.0"]
[project.optional-dependencies]
more = ["idna==3.7"]
[dependency-groups]
dev = ["toolz==1.0.0"]
`, "c.txt": "six<1.17\n"})
	b := pyBuilder(t, t.TempDir(), project, base.Env, envfile.Python{Project: "sub", Extras: []string{"more"}, Groups: []string{"dev"}, Constraints: []string{"c.txt"}})
	sec, err := base.lock(t, b, base.env(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(pinned(sec), func(s string) bool { return strings.HasPrefix(s, "pip ") })
	if strings.Join(got, ", ") != "idna 3.7, six 1.16.0, toolz 1.0.0" {
		t.Errorf("%v", got)
	}
}

func testNoPython(t *testing.T, _ pyBase) {
	empty := &Env{Layers: []Layer{{Name: "empty", FS: tree(t, nil)}}}
	b := pyBuilder(t, t.TempDir(), t.TempDir(), hostEnviron(), envfile.Python{})
	sec, err := pyBase{}.lock(t, b, empty, nil)
	if err != nil || len(sec.Wheels) != 0 {
		t.Errorf("nothing asked for: %v, %v", pinned(sec), err)
	}
	if err := b.addPython(context.Background(), empty, sec, pythonEpoch); err != nil || empty.PythonEnv {
		t.Errorf("nothing to build: %v", err)
	}
	b.File.Python.Packages = []string{"six"}
	if _, err := (pyBase{}).lock(t, b, empty, nil); !errors.Is(err, ErrNoPython) || len(hint.Of(err)) == 0 {
		t.Errorf("six without Python: %v", err)
	}
}

func testAsOf(t *testing.T, base pyBase) {
	b := pyBuilder(t, t.TempDir(), t.TempDir(), base.Env, envfile.Python{Packages: []string{"six"}})
	b.File.Resolve.AsOf = "2022-01-01"
	sec, err := base.lock(t, b, base.env(), nil)
	if err != nil || versionOf(sec, "six") != "1.16.0" {
		t.Errorf("%v, %v", pinned(sec), err)
	}
}
