package envfile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func exampleFile() *File {
	return &File{
		Platforms: []string{"linux/amd64"},
		Image:     Image{Base: "deb:trixie", User: "image"},
		Project:   Project{At: "/workspace"},
		Toolchain: map[string]string{"python": "3.13", "pytorch": ">=2.1, <3"},
		Apt:       Apt{Packages: []string{"git", "hello"}, Sources: []AptSource{{URL: "https://a.example", Suite: "x", Components: []string{"main", "extra"}, Key: "keys/a.asc"}}},
		Python: Python{Packages: []string{"numpy >= 1, <3", "pandas"}, Requirements: []string{"requirements.txt"}, Constraints: []string{"sub/c.txt"},
			Project: ".", Into: "env", Indexes: []PythonIndex{{Name: "own", URL: "https://i.example", Only: []string{"b", "a"}}}},
		Steps:   []Step{{Run: Command{Shell: "make"}, Where: "image", Inputs: []string{"src/**"}}},
		Fetches: []Fetch{{URL: "https://f.example/w", SHA256: hex64("1"), To: "/w", Unpack: true}},
		Env:     Env{Set: map[string]string{"A": "1"}},
		Tasks:   map[string]Task{"default": {Run: Command{Shell: "python train.py"}}},
	}
}

func TestInputsNormalise(t *testing.T) {
	in := Inputs(exampleFile(), "linux/amd64", map[string]string{"requirements.txt": hex64("a")})
	var b strings.Builder
	keys := make([]string, 0)
	for k := range in {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(&b, "%s: %s\n", k, in[k])
	}
	golden(t, "lock/inputs.txt", b.String())
}

func TestCheckNamesWhatChanged(t *testing.T) {
	files := func(a, b string) map[string]string {
		return map[string]string{"requirements.txt": hex64(a), "sub/c.txt": hex64(b)}
	}
	var all strings.Builder
	for _, c := range []struct {
		name   string
		change func(f *File)
		files  map[string]string
		same   bool
	}{
		{name: "nothing", same: true},
		{name: "another order of packages and other blanks", same: true, change: func(f *File) {
			slices.Reverse(f.Apt.Packages)
			f.Python.Packages = []string{"pandas", "numpy>=1,<3"}
		}},
		{name: "what does not enter the lock", same: true, change: func(f *File) {
			f.Env.Set["B"], f.Platforms, f.Limits.Pids = "2", []string{"linux/amd64", "linux/arm64"}, 9
			f.Tasks["x"] = Task{}
		}},
		{name: "one package more", change: func(f *File) { f.Apt.Packages = append(f.Apt.Packages, "curl") }},
		{name: "two keys", change: func(f *File) { f.Apt.Packages, f.Toolchain["python"] = nil, "3.12" }},
		{name: "a tool that is claimed no more", change: func(f *File) { delete(f.Toolchain, "python") }},
		{name: "recommends", change: func(f *File) { f.Apt.Recommends = true }},
		{name: "the second step", change: func(f *File) { f.Steps = append(f.Steps, Step{Run: Command{Args: []string{"make", "all"}}}) }},
		{name: "an index first", change: func(f *File) { f.Python.Indexes = append([]PythonIndex{{Name: "n", URL: "u"}}, f.Python.Indexes...) }},
		{name: "two packages that look like one", change: func(f *File) { f.Python.Packages = []string{"numpy>=1", "<3", "pandas"} }},
		{name: "a file", files: files("c", "b")},
		{name: "two files", files: files("c", "d")},
		{name: "a file that is read no more", files: map[string]string{"requirements.txt": hex64("a")}},
		{name: "a file that takes in another", files: map[string]string{"requirements.txt": hex64("c"), "sub/c.txt": hex64("b"), "new.txt": hex64("e")}},
		{name: "a key and a file", change: func(f *File) { f.Apt.Packages = nil }, files: files("c", "b")},
		{name: "very many keys", change: func(f *File) { *f = File{Toolchain: map[string]string{"python": "2", "pytorch": "1"}} }},
	} {
		f := exampleFile()
		s := &Section{Inputs: Inputs(f, "linux/amd64", files("a", "b"))}
		if c.change != nil {
			c.change(f)
		}
		if c.files == nil {
			c.files = files("a", "b")
		}
		err := s.Check(Inputs(f, "linux/amd64", c.files))
		if (err == nil) != c.same {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, ok := errors.AsType[*StaleError](err); err != nil && !ok {
			t.Errorf("%s: %T", c.name, err)
		}
		if err != nil {
			all.WriteString("# " + c.name + "\n" + message(err) + "\n")
		}
	}
	l := exampleLock()
	all.WriteString("# no such section\n" + message(l.Check("linux/arm64", nil, nil)) + "\n")
	all.WriteString("# no such profile\n" + message(l.Check("linux/amd64", []string{"gpu", "test"}, nil)) + "\n")
	l.LayerFormat = 0
	all.WriteString("# layers of another format\n" + message(l.Check("linux/amd64", nil, nil)) + "\n")
	golden(t, "lock/stale.txt", all.String())
	_, err := l.Section("linux/arm64", []string{"x"})
	if e, ok := errors.AsType[*NoSectionError](err); !ok || len(e.Have) != 2 {
		t.Errorf("%T %v", err, err)
	}
}

func TestCheckConfig(t *testing.T) {
	f := exampleFile()
	s := &Section{Config: ConfigOf(f)}
	if want := []string{"sh", "-c", "python train.py", "default"}; !reflect.DeepEqual(s.Config.Cmd, want) {
		t.Errorf("cmd %q", s.Config.Cmd)
	}
	if err := s.CheckConfig(ConfigOf(f)); err != nil {
		t.Error(err)
	}
	f.Env.Set = map[string]string{"A": "2"}
	f.Image.User = "root"
	err := s.CheckConfig(ConfigOf(f))
	if err == nil || err.Error() != "sandbox.lock is older than sandbox.toml: env.set and image.user changed" {
		t.Error(err)
	}
}

func TestRequirementIncludes(t *testing.T) {
	r, c := RequirementIncludes([]byte("\ufeffnumpy\r\n-r base.txt  # more\n-rdev.txt\n--requirement=a b.txt\n--requirement \"q.txt\"\n" +
		"-c c1.txt\n--constraint \\\n   c2.txt\n# -r not.txt\n   -r sp.txt\npandas -r no.txt\n-e .\n--index-url https://i.example/\n-r https://x.example/r.txt\n" +
		"torch==2.5.1 \\\n    --hash=sha256:aa\n-cc3.txt\n-r"))
	if want := []string{"base.txt", "dev.txt", "a b.txt", "q.txt", "sp.txt", "https://x.example/r.txt"}; !slices.Equal(r, want) {
		t.Errorf("requirements %q", r)
	}
	if want := []string{"c1.txt", "c2.txt", "c3.txt"}; !slices.Equal(c, want) {
		t.Errorf("constraints %q", c)
	}
}

func TestAllInputFiles(t *testing.T) {
	tree := map[string]string{
		"requirements.txt": "-r req/a.txt\n-c sub/c.txt\n",
		"req/a.txt":        "-r ../requirements.txt\n-r b.txt\n", // a circle
		"req/b.txt":        "numpy\n",
		"sub/c.txt":        "numpy<3\n",
	}
	read := func(name string) ([]byte, error) {
		if s, ok := tree[name]; ok {
			return []byte(s), nil
		}
		return nil, fmt.Errorf("no such file: %s", name)
	}
	got, err := AllInputFiles(exampleFile(), read)
	want := []string{"keys/a.asc", "pyproject.toml", "req/a.txt", "req/b.txt", "requirements.txt", "sub/c.txt"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range []string{"-r ../up.txt", "-r /etc/passwd", "-c https://x.example/c.txt", "-r gone.txt"} {
		tree["req/b.txt"] = bad + "\n"
		if _, err := AllInputFiles(exampleFile(), read); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
	f := &File{Python: Python{Project: "app/uv.lock"}, Image: Image{Dockerfile: "./Dockerfile"}}
	if got := InputFiles(f); !slices.Equal(got, []string{"Dockerfile", "app/pyproject.toml", "app/uv.lock"}) {
		t.Errorf("%q", got)
	}
}

func TestPreferences(t *testing.T) {
	s := exampleLock().Sections["linux-amd64"]
	p := s.Preferences(Upgrade{})
	if !reflect.DeepEqual(p.Debs, map[string]string{"git": "1:2.47.3-0+deb13u1", "libsndfile1": "1.2.2-2"}) ||
		!reflect.DeepEqual(p.Wheels, map[string]string{"numpy": "2.2.1"}) || p.Image == nil || len(p.Interpreters) != 1 || p.Unknown != nil {
		t.Errorf("%+v", p)
	}
	p = s.Preferences(Upgrade{Names: []string{"git", "NumPy", "base", "python", "nothing"}})
	if len(p.Debs) != 1 || len(p.Wheels) != 0 || p.Image != nil || len(p.Interpreters) != 0 || len(p.Toolchain) != 1 ||
		!slices.Equal(p.Unknown, []string{"nothing"}) {
		t.Errorf("%+v", p)
	}
	p = s.Preferences(Upgrade{All: true})
	if len(p.Debs)+len(p.Wheels)+len(p.Toolchain)+len(p.Interpreters) != 0 || p.Image != nil {
		t.Errorf("%+v", p)
	}
	p = (*Section)(nil).Preferences(Upgrade{Names: []string{"x"}})
	if p.Debs == nil || !slices.Equal(p.Unknown, []string{"x"}) {
		t.Errorf("%+v", p)
	}
}

// A key at its default is the same as no key: writing it down makes no lock stale.
func TestInputsLeaveOutDefaults(t *testing.T) {
	inputs := func(src string) map[string]string {
		doc, err := Parse("sandbox.toml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		f, err := doc.Resolve(ResolveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return Inputs(f, "linux/amd64", nil)
	}
	short := inputs("schema = 1\n[image]\nbase = \"deb:trixie\"\n")
	if want := map[string]string{"platform": "linux/amd64", "image.base": "deb:trixie"}; !reflect.DeepEqual(short, want) {
		t.Errorf("%v", short)
	}
	long := inputs("schema = 1\nplatforms = [\"linux/amd64\"]\n[image]\nbase = \"deb:trixie\"\nuser = \"image\"\n[apt]\npackages = []\nrecommends = false\n" +
		"[python]\ninto = \"env\"\nsdist = \"deny\"\npackages = []\n[toolchain]\n")
	if !reflect.DeepEqual(short, long) {
		t.Errorf("%v", long)
	}
}
