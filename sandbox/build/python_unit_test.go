package build

import (
	"context"
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/wheel"
)

// tree writes files ("->target" makes a link) and gives the folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "->"); ok {
			err = os.Symlink(target, p)
		} else {
			err = os.WriteFile(p, []byte(text), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const glibc = "x GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\n"

func TestFindPython(t *testing.T) {
	for name, c := range map[string]struct {
		path  []string
		files map[string]string
		want  Python
	}{
		"debian": {nil, map[string]string{
			"usr/bin/python3": "->python3.11", "usr/bin/python3.11": elf.ELFMAG, "usr/lib/python3.11/os.py": "", "lib": "->usr/lib",
			"usr/lib/python3/dist-packages/x": "", "usr/local/lib/python3.11/dist-packages/y": "",
			"usr/lib/x86_64-linux-gnu/libc.so.6": glibc, "usr/lib/aarch64-linux-gnu/libc.so.6": glibc,
			"var/lib/dpkg/status": "Package: a\nVersion: 1\n\nPackage: python3.11\nStatus: ok\nVersion: 3.11.2-6+deb12u3\n\nPackage: b\nVersion: 3.11.9\n",
		}, Python{Path: "/usr/bin/python3.11", Version: "3.11", Full: "3.11.2", Stdlib: "/usr/lib/python3.11",
			Site:   []string{"/usr/local/lib/python3.11/dist-packages", "/usr/lib/python3/dist-packages"},
			Target: wheel.Target{Glibc: [2]int{2, 36}}}},
		"python image, /usr has another": {[]string{"/usr/local/bin", "/usr/bin"}, map[string]string{
			"usr/local/bin/python3": "->python3.12", "usr/local/bin/python3.12": elf.ELFMAG, "usr/local/lib/python3.12/os.py": "", "usr/local/lib/python3.12/site-packages/z": "",
			"usr/local/include/python3.12/patchlevel.h": "#define PY_VERSION      \t\"3.12.4\"\n", "usr/bin/python3": elf.ELFMAG, "lib64/libc.so.6": glibc,
		}, Python{Path: "/usr/local/bin/python3.12", Version: "3.12", Full: "3.12.4", Stdlib: "/usr/local/lib/python3.12",
			Site: []string{"/usr/local/lib/python3.12/site-packages"}, Target: wheel.Target{Glibc: [2]int{2, 36}}}},
		"conda, name without a version, a shim before it": {[]string{"/shims", "/opt/conda/bin"}, map[string]string{
			"shims/python3": "#!/bin/sh\n", "opt/conda/bin/python": elf.ELFMAG, "opt/conda/lib/python3.10/os.py": "", "opt/conda/lib/python3.10/site-packages/z": "", "lib64/libc.so.6": glibc,
		}, Python{Path: "/opt/conda/bin/python", Version: "3.10", Stdlib: "/opt/conda/lib/python3.10",
			Site: []string{"/opt/conda/lib/python3.10/site-packages"}, Target: wheel.Target{Glibc: [2]int{2, 36}}}},
		"musl": {nil, map[string]string{
			"usr/bin/python3": "->/usr/bin/python3.12", "usr/bin/python3.12": elf.ELFMAG, "usr/lib/python3.12/os.py": "", "usr/lib/python3.12/site-packages/z": "",
			"lib/apk/db/installed": "P:apk\nV:1.2.9-r0\n\nC:Q1x\nP:musl\nV:1.2.4-r2\nA:x86_64\n",
		}, Python{Path: "/usr/bin/python3.12", Version: "3.12", Stdlib: "/usr/lib/python3.12",
			Site: []string{"/usr/lib/python3.12/site-packages"}, Target: wheel.Target{Musl: [2]int{1, 2}}}},
	} {
		t.Run(name, func(t *testing.T) {
			st := layer.NewStack([]string{tree(t, c.files)})
			defer st.Close()
			got, err := FindPython(st, c.path)
			if err != nil {
				t.Fatal(err)
			}
			if got.Path != c.want.Path || got.Version != c.want.Version || got.Full != c.want.Full || got.Stdlib != c.want.Stdlib || !slices.Equal(got.Site, c.want.Site) ||
				got.Target.Glibc != c.want.Target.Glibc || got.Target.Musl != c.want.Target.Musl {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// A tree of another platform is read as what it is, on any machine.
func TestFindPythonOfAnotherPlatform(t *testing.T) {
	for arch, w := range map[string]struct {
		head, triplet string
	}{
		"amd64": {elf.ELFMAG + "\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x3e\x00", "x86_64-linux-gnu"},
		"arm64": {elf.ELFMAG + "\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\xb7\x00", "aarch64-linux-gnu"},
		"s390x": {elf.ELFMAG + "\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x16", "s390x-linux-gnu"},
	} {
		st := layer.NewStack([]string{tree(t, map[string]string{
			"usr/bin/python3": "->python3.11", "usr/bin/python3.11": w.head, "usr/lib/python3.11/os.py": "",
			"usr/lib/" + w.triplet + "/libc.so.6": "GNU C Library (Debian GLIBC 2.36-9+deb12u9) stable release version 2.36.\n",
		})})
		py, err := FindPython(st, nil)
		if err != nil || py.Target.Arch != arch || py.Target.Glibc != [2]int{2, 36} {
			t.Errorf("%s: %+v, %v", arch, py.Target, err)
		}
		st.Close()
	}
}

func TestFindPythonRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"nothing":          {"usr/bin/sh": ""},
		"a script":         {"usr/bin/python3": "#!/bin/sh\n", "usr/lib/python3.11/os.py": ""},
		"no library":       {"usr/bin/python3": "->python3.11", "usr/bin/python3.11": elf.ELFMAG},
		"two libraries":    {"usr/bin/python3": elf.ELFMAG, "usr/lib/python3.11/os.py": "", "usr/lib/python3.12/os.py": ""},
		"a link to itself": {"usr/bin/python3": "->python3"},
		"python 2":         {"usr/bin/python": "->python2.7", "usr/bin/python2.7": elf.ELFMAG, "usr/lib/python2.7/os.py": ""},
	} {
		st := layer.NewStack([]string{tree(t, files)})
		if py, err := FindPython(st, nil); !errors.Is(err, ErrNoPython) {
			t.Errorf("%s: %+v, %v", name, py, err)
		}
		st.Close()
	}
	st := layer.NewStack([]string{tree(t, map[string]string{"usr/bin/python3": "->python3.11", "usr/bin/python3.11": elf.ELFMAG, "usr/lib/python3.11/os.py": ""})})
	defer st.Close()
	if _, err := FindPython(st, nil); err == nil || !strings.Contains(err.Error(), "C library") {
		t.Errorf("without a C library: %v", err)
	}
}

func TestBuildPythonEnvOfNothing(t *testing.T) {
	dir := t.TempDir()
	py := Python{Path: "/usr/local/bin/python3.12", Version: "3.12", Full: "3.12.4"}
	if err := BuildPythonEnv(PythonEnv{Dir: dir, Python: py}); err != nil {
		t.Fatal(err)
	}
	cfg, err := os.ReadFile(filepath.Join(dir, "opt/env/pyvenv.cfg"))
	if err != nil || string(cfg) != "home = /usr/local/bin\ninclude-system-site-packages = true\nversion = 3.12.4\n" {
		t.Errorf("%s, %v", cfg, err)
	}
	for l, want := range map[string]string{"bin/python": py.Path, "bin/python3": "python", "bin/python3.12": "python", "lib64": "lib"} {
		if got, err := os.Readlink(filepath.Join(dir, "opt/env", l)); got != want {
			t.Errorf("%s -> %q, %v", l, got, err)
		}
	}
	if fi, err := os.Stat(filepath.Join(dir, "opt/env/lib/python3.12/site-packages")); err != nil || !fi.IsDir() {
		t.Error(err)
	}
}

func TestUVTextIsTakenApart(t *testing.T) {
	u := &uvRun{r: PythonRequest{Client: wheel.NewClient(nil)}}
	for name, c := range map[string]struct{ out, want, help string }{
		"no such package":    {"error: No solution found when resolving dependencies\n  cause: Because nope was not found in the package registry and you require nope, we can conclude that your requirements are unsatisfiable.\n", "no such Python package: nope", "[[python.index]]"},
		"no such version":    {"error: No solution found when resolving dependencies\n  cause: Because there is no version of six==99.0 and you require six==99.0, we can conclude that your requirements are unsatisfiable.\n", "python package six has no version 99.0", ""},
		"no version in time": {"error: No solution found when resolving dependencies\n  cause: Because there are no versions of six and you require six, we can conclude that your requirements are unsatisfiable.\n\nhint: `six` was filtered by `exclude-newer`\n", "python package six has no version that fits", "exclude-newer"},
		"only a source":      {"error: No solution found when resolving dependencies\n  cause: Because a-b==4.9.3 has no usable wheels and you require a-b==4.9.3, we can conclude that your requirements are unsatisfiable.\n\nhint: Wheels are required for `a-b` because building from source is disabled for all packages (i.e., with `--no-build`)\n", "a-b 4.9.3 has only a source distribution, no wheel", "take a version that has wheels"},
		"another python":     {"error: No solution found when resolving dependencies\n  cause: Because torch==1.7.1 has no wheels with a matching Python ABI tag (e.g., `cp311`) and you require torch==1.7.1, we can conclude that your requirements are unsatisfiable.\n\nhint: You require CPython 3.11 (`cp311`), but we only found wheels for `torch` (v1.7.1) with the following Python ABI tags: `cp36m`, `cp39`\n", "torch 1.7.1 has no wheel with a matching Python ABI tag", "only found wheels"},
		"a conflict":         {"error: No solution found when resolving dependencies\n  cause: Because pandas>=3 depends on numpy>=2 and you require numpy==1.24.2, we can conclude:\n             pandas>=3.0.0\n", "python packages cannot be resolved together:\nBecause pandas>=3 depends on numpy>=2", ""},
		"not a requirement":  {"error: Couldn't parse requirement in `../work/in.txt` at position 0\n  cause: Expected one of `@`\n", "python packages cannot be resolved: Couldn't parse requirement in `sandbox.toml` at position 0", ""},
	} {
		err := u.explain(context.Background(), c.out)
		if !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %q, want %q", name, err, c.want)
		}
		var r *ResolveError
		if errors.As(err, &r) && !strings.Contains(r.Help, c.help) {
			t.Errorf("%s: hint %q, want %q", name, r.Help, c.help)
		}
	}
}

func TestNearestVersions(t *testing.T) {
	all := []string{"2.1.0", "2.0.0rc1", "1.26.4", "1.26.3", "1.24.2", "1.0"}
	for want, near := range map[string]string{"1.25": "1.24.2,1.26.3", "0.1": "1.0", "99": "2.1.0", "": "2.1.0,2.0.0rc1,1.26.4"} {
		if got := strings.Join(nearest(all, want), ","); got != near {
			t.Errorf("nearest to %q: %s, want %s", want, got, near)
		}
	}
}

func TestStubsLeaveOutWhatTheBaseLacks(t *testing.T) {
	d := wheel.Dist{Name: "torch", Version: "2.5.1+cu124", Metadata: []byte("Name: torch\nVersion: 2.5.1+cu124\nProvides-Extra: opt\nRequires-Dist: nvidia-cublas-cu12 (==12.4.5.8) ; platform_system == \"Linux\"\nRequires-Dist: numpy>=1.2\nRequires-Dist: opt-einsum>=3.3 ; extra == 'opt'\n\nText\n")}
	got := stubMetadata(d, map[string]bool{"numpy": true})
	want := "Metadata-Version: 2.1\nName: torch\nVersion: 2.5.1+cu124\nProvides-Extra: opt\nRequires-Dist: numpy>=1.2\nRequires-Dist: opt-einsum>=3.3 ; extra == 'opt'\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestRequirementsFilesNameIndexes(t *testing.T) {
	dir := tree(t, map[string]string{
		"requirements.txt": "six\n--extra-index-url https://a.invalid/simple/\n-r sub/more.txt\n--find-links=./wheels\n", "sub/more.txt": "-i https://b.invalid/simple # c\n-f https://c.invalid/x\n-fish\n",
	})
	got, err := requirementIndexes(dir, &envfile.File{Python: envfile.Python{Requirements: []string{"requirements.txt"}}})
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, x := range got {
		s = append(s, x.Name+" "+x.URL)
	}
	if strings.Join(s, ",") != "requirements-1 https://a.invalid/simple,requirements-2 https://b.invalid/simple,requirements-3 https://c.invalid/x" || !got[2].Flat {
		t.Errorf("%v", s)
	}
}

func TestReadingWhatASandboxWrote(t *testing.T) {
	dir := tree(t, map[string]string{"link": "->/etc/passwd", "big": strings.Repeat("x", 100), "ok": "fine", "dir/x": ""})
	for _, name := range []string{"link", "big", "dir", "nothing", "../x"} {
		if b, err := readNoFollow(dir, name, 10); err == nil {
			t.Errorf("%s was read: %q", name, b)
		}
	}
	if b, err := readNoFollow(dir, "ok", 10); string(b) != "fine" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestOnlyBytecodeIsKept(t *testing.T) {
	root := tree(t, map[string]string{
		"usr/lib/p/__pycache__/a.pyc": "x", "usr/lib/p/a.py": "y", "tmp/x/y": "z", "usr/lib/q/__pycache__/b.pyc": "x", "usr/lib/q/__pycache__/l": "->/etc", "root": "->tmp",
	})
	if err := keepBytecode(root); err != nil {
		t.Fatal(err)
	}
	var got []string
	filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, p)
			got = append(got, rel)
		}
		return err
	})
	if strings.Join(got, ",") != "usr/lib/p/__pycache__/a.pyc,usr/lib/q/__pycache__/b.pyc" {
		t.Errorf("left: %v", got)
	}
	if _, err := os.Lstat(filepath.Join(root, "tmp")); err == nil {
		t.Error("a folder without bytecode is left")
	}
}

func TestAsOfMeansTheWholeDay(t *testing.T) {
	u := &uvRun{}
	var err error
	if u.cutoff, err = asOf("2024-09-01"); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{"2024-09-01T23:59:59Z": true, "2024-09-02T00:00:00Z": false, "": false} {
		if got := u.inTime(wheel.File{UploadTime: at}); got != want {
			t.Errorf("%q in time: %v", at, got)
		}
	}
}

func TestStaticPrograms(t *testing.T) {
	if err := isStatic("/bin/sh"); err == nil || !strings.Contains(err.Error(), "not a static program") {
		t.Errorf("the host's shell: %v", err)
	}
	if err := isStatic(tree(t, nil)); err == nil {
		t.Error("a folder passes for a program")
	}
}
