package build

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

const pythonEpoch = 1700000000

// pyBase is a Debian with Python, as every user of the machine can read it.
type pyBase struct {
	FS, Ref string
	Env     map[string]string
	Section *envfile.Section
}

// pyBuilder is a Builder over its own store.
func pyBuilder(t *testing.T, dir, project string, env map[string]string, py envfile.Python) *Builder {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &Builder{Store: s, Fetch: fetch.New(fetch.Options{AllowHTTP: true}), User: &envfile.UserConfig{}, File: &envfile.File{Python: py}, Dir: project, Environ: env}
}

// hostEnviron is what finds the index and gets there.
func hostEnviron() map[string]string {
	env := map[string]string{}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		if k == "PATH" || k == "HOME" || k == "SSL_CERT_FILE" || strings.HasPrefix(k, "PIP_") || strings.HasPrefix(k, "UV_") || strings.HasSuffix(strings.ToLower(k), "_proxy") || strings.HasPrefix(k, "PYENV") {
			env[k] = v
		}
	}
	return env
}

// debianWithPython assembles the base once for all subtests.
func debianWithPython(t *testing.T) pyBase {
	t.Helper()
	dir := testenv.PublicDir(t)
	b := pyBuilder(t, filepath.Join(dir, "store"), t.TempDir(), hostEnviron(), envfile.Python{})
	const ref = "deb:bookworm+python3+ca-certificates"
	b.File.Image.Base = ref
	sec, env := &envfile.Section{}, &Env{}
	ctx := context.Background()
	if _, err := b.lockDebBase(ctx, sec, LockInput{}); err != nil {
		t.Fatal(err)
	}
	if err := b.addDebBase(ctx, env, sec, pythonEpoch); err != nil {
		t.Fatal(err)
	}
	for d := filepath.Dir(env.Layers[0].FS); d != dir; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return pyBase{FS: env.Layers[0].FS, Ref: ref, Env: hostEnviron()}
}

func (p pyBase) env(more ...string) *Env {
	e := &Env{Layers: []Layer{{Name: "base", FS: p.FS}}}
	for _, m := range more {
		e.Layers = append(e.Layers, Layer{Name: m, FS: m})
	}
	return e
}

// lock pins what py asks for, over the base and more layers.
func (p pyBase) lock(t *testing.T, b *Builder, e *Env, keep map[string]string) (*envfile.Section, error) {
	t.Helper()
	l := &locking{Builder: b, lock: &envfile.Lock{Epoch: pythonEpoch}, sec: &envfile.Section{}, env: e, keep: envfile.Preferences{Wheels: keep}}
	err := l.lockPython(context.Background(), nil, nil)
	return l.sec, err
}

// pinned is a lock's wheels as "name version", with what the base has marked.
func pinned(sec *envfile.Section) []string {
	var out []string
	for _, w := range sec.Wheels {
		s := w.Name + " " + w.Version
		if w.From != "" {
			s += " " + w.From
		} else if len(w.SHA256) != 64 || w.File == "" {
			s += " incomplete"
		}
		if w.Index != "" && w.Index != "default" {
			s += " " + w.Index
		}
		out = append(out, s)
	}
	return out
}

func versionOf(sec *envfile.Section, name string) string {
	for _, w := range sec.Wheels {
		if w.Name == name {
			return w.Version
		}
	}
	return ""
}

// runInside runs a shell line in the finished environment, with a writable layer on top.
func runInside(t *testing.T, b *Builder, e *Env, line string) string {
	t.Helper()
	stubs, err := b.stubsDir(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	out := &tailWriter{max: 1 << 20}
	box := Box{Lowers: e.dirs(), Stubs: stubs, Stdout: out, Stderr: out, Network: true}
	if ca := hostCA(b.Environ); ca != "" {
		box.Binds = []BoxBind{{Source: ca, Target: BoxRun + "/ca.pem"}}
		box.Env = []string{"PIP_CERT=" + BoxRun + "/ca.pem"}
	}
	for _, k := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if v := b.Environ[k]; v != "" {
			box.Env = append(box.Env, k+"="+v)
		}
	}
	if err := box.Run(context.Background(), "/bin/sh", "-ec", "export PATH=/opt/env/bin:$PATH; "+line); err != nil {
		t.Errorf("%s: %v\n%s", line, err, out.String())
	}
	return out.String()
}

func TestPython(t *testing.T) {
	testenv.Need(t, "userns", "overlay", "mirror", "index")
	base := debianWithPython(t)
	for name, test := range map[string]func(*testing.T, pyBase){
		"numpy, pip and bytecode":      testNumpy,
		"the same bytes for everybody": testSameBytes,
		"what the base has stays":      testBaseStays,
		"pins stay":                    testPinsStay,
		"errors name the cause":        testResolveErrors,
		"an index for one package":     testOnlyIndex,
		"locks of the project":         testProjectLocks,
		"extras and groups":            testExtras,
		"no Python in the environment": testNoPython,
		"as of a date":                 testAsOf,
		"pip of Debian":                testDebianPip,
		"an old pip is not in the way": testRequestedPip,
	} {
		t.Run(name, func(t *testing.T) { test(t, base) })
	}
}

func testNumpy(t *testing.T, base pyBase) {
	project := tree(t, map[string]string{"requirements.txt": "numpy<3\n-r more/x.txt\n", "more/x.txt": "six # small\n"})
	b := pyBuilder(t, t.TempDir(), project, base.Env, envfile.Python{Requirements: []string{"requirements.txt"}})
	e := base.env()
	sec, err := base.lock(t, b, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.addPython(context.Background(), e, sec, pythonEpoch); err != nil {
		t.Fatal(err)
	}
	if err := b.addBytecode(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	out := runInside(t, b, e, `python -c 'import numpy, six, sys; print(sys.prefix, sys.base_prefix, numpy.arange(4).sum(), numpy.__cached__, numpy.ones.__code__.co_filename)'; command -v pip; command -v f2py`)
	want := "/opt/env /usr 6 /opt/env/lib/python3.11/site-packages/numpy/__pycache__/__init__.cpython-311.pyc /opt/env/lib/python3.11/site-packages/numpy/"
	if !strings.HasPrefix(out, want) || !strings.Contains(out, "/opt/env/bin/pip\n/opt/env/bin/f2py") {
		t.Errorf("got %q, want %q", out, want)
	}
	out = runInside(t, b, e, `pip install -q --no-cache-dir --root-user-action=ignore idna==3.7; pip uninstall -qy six; python -c 'import idna; print(idna.__version__, idna.__file__)'; ! python -c 'import six' 2>/dev/null; pip check`)
	if !strings.Contains(out, "3.7 /opt/env/lib/python3.11/site-packages/idna/__init__.py") {
		t.Errorf("pip install: %s", out)
	}
	out = runInside(t, b, e, `cd /opt/env/lib/python3.11/site-packages; echo 'print("changed")' >> six.py; python -c 'import six'; sed -i 's/^import re$/import re; print("stdlib too")/' /usr/lib/python3.11/textwrap.py; python -c 'import textwrap'`)
	if out != "changed\nstdlib too\n" {
		t.Errorf("modules were edited, and Python runs %q", out)
	}
	checkBytecode(t, e)
	if !e.Layers[len(e.Layers)-1].derived || e.Layers[1].derived {
		t.Error("only the bytecode is of this machine")
	}
}

// checkBytecode looks at a layer of bytecode: nothing else in it, all of it valid as long as nobody changes the
// source.
func checkBytecode(t *testing.T, e *Env) {
	t.Helper()
	root, n := e.Layers[len(e.Layers)-1].FS, 0
	st := layer.NewStack(e.dirs())
	defer st.Close()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		name, _, _ := strings.Cut(d.Name(), ".cpython-")
		dir, err := filepath.Rel(root, filepath.Dir(filepath.Dir(p)))
		if err != nil || filepath.Base(filepath.Dir(p)) != "__pycache__" || len(b) < 16 {
			return fmt.Errorf("no bytecode: %s", p)
		}
		src, err := st.Stat(filepath.Join("/", dir, name+".py"))
		if err != nil {
			return err
		}
		u32 := func(at int) int64 { return int64(binary.LittleEndian.Uint32(b[at:])) }
		if u32(4) != 0 || u32(8) != src.ModTime().Unix() || u32(12) != src.Size() {
			return fmt.Errorf("bytecode that Python does not take: %s", p)
		}
		return nil
	})
	if err != nil || n < 500 {
		t.Errorf("%d files of bytecode, %v", n, err)
	}
	for _, dir := range []string{"usr/lib/python3.11", "opt/env/lib/python3.11/site-packages/numpy"} {
		if _, err := os.Stat(filepath.Join(root, dir, "__pycache__")); err != nil {
			t.Error(err)
		}
	}
}

// Users with and without a subuid range get the layer that root gets, each with a store of her own.
func testSameBytes(t *testing.T, base pyBase) {
	project := tree(t, nil)
	b := pyBuilder(t, t.TempDir(), project, base.Env, envfile.Python{Packages: []string{"numpy", "requests"}})
	e := base.env()
	sec, err := base.lock(t, b, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.addPython(context.Background(), e, sec, pythonEpoch); err != nil {
		t.Fatal(err)
	}
	want := envDigest(t, e)
	testenv.Need(t, "users")
	base.Section = sec
	in, err := json.Marshal(base)
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(testenv.PublicDir(t), "test")
	if err := CopyFile(os.Args[0], exe); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(exe, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{testenv.WithSubuid, testenv.WithoutSubuid} {
		u := testenv.As(t, name)
		cmd := u.Command(exe, "-test.run=^TestPythonOfAnotherUser$", "-test.v")
		cmd.Env = append(cmd.Env, "SANDBOX_TEST_PYTHON="+string(in))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "diffid "+want) {
			t.Errorf("%s: %v, want %s:\n%s", name, err, want, out)
		}
	}
}

func envDigest(t *testing.T, e *Env) string {
	t.Helper()
	d, err := layer.DiffID(t.Context(), e.Layers[len(e.Layers)-1].FS, layer.PackOptions{Epoch: pythonEpoch, NoHardlinks: true})
	if err != nil {
		t.Fatal(err)
	}
	return string(d.DiffID)
}

// TestPythonOfAnotherUser is run by testSameBytes as somebody else; by itself it has nothing to do.
func TestPythonOfAnotherUser(t *testing.T) {
	in := os.Getenv("SANDBOX_TEST_PYTHON")
	if in == "" {
		return
	}
	var base pyBase
	if err := json.Unmarshal([]byte(in), &base); err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	b := pyBuilder(t, filepath.Join(home, "store"), home, base.Env, envfile.Python{})
	e := base.env()
	if err := b.addPython(context.Background(), e, base.Section, pythonEpoch); err != nil {
		t.Fatal(err)
	}
	if err := b.addBytecode(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	if out := runInside(t, b, e, "python -c 'import numpy; print(numpy.arange(4).sum())'"); out != "6\n" {
		t.Errorf("numpy: %q", out)
	}
	e.Layers = e.Layers[:2]
	fmt.Println("diffid", envDigest(t, e))
}

func testRequestedPip(t *testing.T, base pyBase) {
	b := pyBuilder(t, t.TempDir(), t.TempDir(), base.Env, envfile.Python{Packages: []string{"pip==24.0"}})
	e := base.env()
	sec, err := base.lock(t, b, e, nil)
	if err != nil || strings.Join(pinned(sec), ",") != "pip 24.0" || len(sec.Debs) != 0 {
		t.Fatalf("%v, %v", pinned(sec), err)
	}
	if err := b.addPython(context.Background(), e, sec, pythonEpoch); err != nil {
		t.Fatal(err)
	}
	if out := runInside(t, b, e, "pip --version"); !strings.HasPrefix(out, "pip 24.0 from /opt/env/lib/python3.11/site-packages/pip") {
		t.Errorf("%q", out)
	}
}

// Debian's Python has no pip of its own: the wheel in its archive is taken, pinned like any .deb.
func testDebianPip(t *testing.T, base pyBase) {
	b := pyBuilder(t, t.TempDir(), t.TempDir(), base.Env, envfile.Python{})
	b.File.Image.Base = base.Ref
	e := base.env()
	sec, err := base.lock(t, b, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(sec.Debs) != 1 || sec.Debs[0].Name != "python3-pip-whl" || sec.Debs[0].Layer != "pip" || len(sec.Wheels) != 0 {
		t.Fatalf("%+v, %v", sec.Debs, pinned(sec))
	}
	sec.Image.Ref = base.Ref
	if err := b.addPython(context.Background(), e, sec, pythonEpoch); err != nil {
		t.Fatal(err)
	}
	out := runInside(t, b, e, "pip --version; pip install -q --no-cache-dir --root-user-action=ignore six; python -c 'import six; print(six.__file__)'")
	if !strings.HasPrefix(out, "pip 23.0.1 from /opt/env/lib/python3.11/site-packages/pip") || !strings.Contains(out, "\n/opt/env/lib/python3.11/site-packages/six.py\n") {
		t.Errorf("%q", out)
	}
}
