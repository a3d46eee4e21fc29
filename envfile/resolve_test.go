package envfile

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

func mustResolve(t *testing.T, text string, o ResolveOptions) *File {
	t.Helper()
	d, err := Parse("sandbox.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	f, err := d.Resolve(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustLocal(t *testing.T, text string) *Document {
	t.Helper()
	d, err := ParseLocal("sandbox.local.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const minimal = "[image]\nbase = \"deb:trixie\"\n"

func goldenFile(t *testing.T, name string, got any) {
	t.Helper()
	b, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	want, _ := os.ReadFile(name)
	if string(b) == string(want) {
		return
	}
	if !*update {
		t.Fatalf("%s differs; got:\n%s", name, b)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDefaults(t *testing.T) {
	goldenFile(t, "testdata/defaults.json", mustResolve(t, minimal, ResolveOptions{}))
}

func TestEveryKeyReachesTheFile(t *testing.T) {
	f := mustResolve(t, everyKey(t), ResolveOptions{})
	goldenFile(t, "testdata/every-key.json", f)
	if zero := zeroFields(reflect.ValueOf(*f), "File"); len(zero) > 0 {
		t.Errorf("testdata/every-key.toml sets every key, but these are empty: %v", zero)
	}
}

// zeroFields finds the fields that no key reached. Elements of maps and lists count together: one of
// them must have it.
func zeroFields(v reflect.Value, name string) (out []string) {
	skip := map[string]bool{
		"File.Bind": true, "File.Profiles": true, "File.LockProfiles": true, "File.LockOwn": true, "File.tree": true,
		"File.Image.Dockerfile": true, "File.Image.Args": true, "File.Image.Target": true, // base excludes them
		"File.Python.Sdist.Allow": true,
	}
	if skip[name] || strings.HasPrefix(name, "File.Services[].Task.") || strings.HasPrefix(name, "File.Tasks[].") && strings.Count(name, ".") > 2 {
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			out = append(out, zeroFields(v.Field(i), name+"."+v.Type().Field(i).Name)...)
		}
		return out
	case reflect.Map, reflect.Slice:
		var elems []reflect.Value
		if v.Kind() == reflect.Map {
			for _, k := range v.MapKeys() {
				elems = append(elems, v.MapIndex(k))
			}
		} else {
			for i := range v.Len() {
				elems = append(elems, v.Index(i))
			}
		}
		if len(elems) == 0 {
			return []string{name}
		}
		missing := map[string]int{}
		for _, e := range elems {
			if e.Kind() == reflect.Struct {
				for _, f := range zeroFields(e, name+"[]") {
					missing[f]++
				}
			}
		}
		for f, n := range missing {
			if n == len(elems) {
				out = append(out, f)
			}
		}
		return out
	}
	if v.IsZero() {
		return []string{name}
	}
	return nil
}

func TestProfilesMergeInOrder(t *testing.T) {
	text := minimal + `
[apt]
packages = ["git", "vim"]
[env]
set = { A = "file", B = "file", C = "file", D = "file" }
[toolchain]
python = "3.13"
cuda = "12.4"
[gpu]
need = "required"
count = 4
[profile.auto]
when = "no-gpu"
gpu.need = "none"
toolchain.cuda = "none"
env.set.B = "auto"
env.set.C = "auto"
[profile.one]
apt.packages = ["less"]
env.set.C = "one"
env.set.D = "one"
[profile.two]
add.apt.packages = ["git", "less", "make"]
env.set.D = "two"
[[profile.two.step]]
run = "make"
[[profile.two.add.step]]
run = "make install"
`
	f := mustResolve(t, text, ResolveOptions{
		Profiles: []string{"one", "two", "one"}, When: map[string]bool{"no-gpu": true},
	})
	check := func(what string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, not %v", what, got, want)
		}
	}
	check("applied", f.Profiles, []string{"auto", "one", "two"})
	check("packages", f.Apt.Packages, []string{"less", "git", "make"})
	check("env", f.Env.Set, map[string]string{"A": "file", "B": "auto", "C": "one", "D": "two"})
	check("toolchain", f.Toolchain, map[string]string{"python": "3.13"})
	check("need", f.GPU.Need, "none")
	check("steps", len(f.Steps), 2)
	check("profiles that change the lock", f.LockProfiles, []string{"auto", "one", "two"})

	f = mustResolve(t, text, ResolveOptions{When: map[string]bool{"no-gpu": false}})
	check("applied with a GPU", f.Profiles, []string(nil))
	check("packages", f.Apt.Packages, []string{"git", "vim"})

	f = mustResolve(t, minimal+"[profile.p]\nenv.set.A = \"1\"\nneeds.memory = \"1GiB\"\n", ResolveOptions{Profiles: []string{"p"}})
	check("profiles that change the lock", f.LockProfiles, []string(nil))
	f = mustResolve(t, minimal+"[[profile.p.add.step]]\nrun = \"a\"\n", ResolveOptions{Profiles: []string{"p"}})
	check("profiles that change the lock", f.LockProfiles, []string{"p"})
}

func TestLocalUserAndCommandLine(t *testing.T) {
	text := minimal + `
[mounts]
data = { to = "/data", kind = "host" }
more = { to = "/more", kind = "host" }
[secrets.A]
[secrets.B]
[env]
pass = ["X"]
[limits]
memory = "64GiB"
time = "2h"
[task.t]
run = "true"
limits = { memory = "8GiB" }
[submit.slurm]
time = "1:00:00"
partition = "theirs"
[profile.p]
env.set.WHO = "profile"
`
	user, err := ParseUserConfig("config.toml", []byte(`
[bind.mounts]
data = "/user/data"
more = "~/more"
other-project = "/x"
[bind.secrets]
A = { env = "USER_A" }
B = { command = ["pass", "b"] }
[limits]
memory = "32GiB"
pids = 100
time = "1h"
[submit.slurm]
partition = "ours"
account = "a1"
`))
	if err != nil {
		t.Fatal(err)
	}
	local := mustLocal(t, `
env.set.WHO = "local"
add.env.pass = ["Y"]
[image]
user = "me"
[bind.mounts]
data = "/local/data"
[bind.secrets]
A = { file = "/local/a" }
`)
	f := mustResolve(t, text, ResolveOptions{
		Profiles: []string{"p"}, Local: local, User: user,
		Overrides: map[string]any{
			"env.set.WHO": "line", "add.env.pass": []string{"Z"}, "network.mode": "none", "gpu.need": "optional", "gpu.count": 2,
			"limits.memory": Size(48 << 30), "bind.mounts.data": "/line/data",
		},
	})
	check := func(what string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, not %v", what, got, want)
		}
	}
	check("env", f.Env, Env{Set: map[string]string{"WHO": "line"}, Pass: []string{"X", "Y", "Z"}})
	check("network", f.Network.Mode, "none")
	check("gpu", f.GPU.Count, 2)
	check("user", f.Image.User, "me")
	check("mounts", f.Bind.Mounts, map[string]string{"data": "/line/data", "more": "~/more", "other-project": "/x"})
	check("secrets", f.Bind.Secrets, map[string]SecretValue{"A": {File: "/local/a"}, "B": {Command: []string{"pass", "b"}}})
	check("the lower cap holds", f.Limits, Limits{Memory: 32 << 30, Pids: 100, Time: "1h"})
	check("in tasks, too", f.Tasks["t"].Limits, &Limits{Memory: 8 << 30, Pids: 100, Time: "1h"})
	check("submit", f.Submit, map[string]any{"slurm": map[string]any{"time": "1:00:00", "partition": "ours", "account": "a1"}})
	check("lock", f.LockOwn, false)
	check("place", f.Pos("env", "set", "WHO"), Pos{File: "command line"})
	check("place", f.Pos("image", "user").String(), "sandbox.local.toml:5:1")
	check("wants", f.Wants().String(), "mount data, mount more, secret A, secret B, variable X")

	f = mustResolve(t, text, ResolveOptions{Overrides: map[string]any{"image.base": "debian:trixie"}})
	check("lock", f.LockOwn, true)
}

func TestCommandLineIsCheckedLikeAFile(t *testing.T) {
	d, err := Parse("sandbox.toml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"network.mode", "of", `command line: ` + "`network.mode`" + ` wants one of "host", "none", "private": "of"`},
		{"network.mdoe", "none", "command line: unknown key `network.mdoe`; did you mean `mode`"},
		{"gpu.count", "2", "command line: `gpu.count` wants a whole number: \"2\"; write 2 without quotes"},
		{"name", "x", "command line: `name` belongs in sandbox.toml"},
		{"env.set.A", 7, "command line: `env.set.A` wants a string: 7; write \"7\""},
		{"gpu.need", nil, "command line: `gpu.need` wants a string"},
	} {
		_, err := d.Resolve(ResolveOptions{Overrides: map[string]any{c.key: c.value}})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nnot %s", c.key, err, c.want)
		}
	}
}

func TestTaskTablesAreMergedOverTheFiles(t *testing.T) {
	f := mustResolve(t, minimal+`
[gpu]
need = "optional"
min-memory = "16GiB"
[env]
set = { A = "1" }
pass = ["X"]
[mounts]
data = { to = "/data", kind = "host" }
[task.t]
run = "true"
gpu = { need = "required", count = 4 }
env = { set = { B = "2" } }
mounts = { data = { mode = "rw" }, tmp = { to = "/t", kind = "tmpfs" } }
[task.u]
run = "true"
`, ResolveOptions{})
	task := f.Tasks["t"]
	if want := (GPU{Need: "required", Count: 4, MinMemory: 16 << 30}); !reflect.DeepEqual(*task.GPU, want) {
		t.Errorf("gpu: %+v", *task.GPU)
	}
	if want := (Env{Set: map[string]string{"A": "1", "B": "2"}, Pass: []string{"X"}}); !reflect.DeepEqual(*task.Env, want) {
		t.Errorf("env: %+v", *task.Env)
	}
	if task.Mounts["data"].Mode != "rw" || task.Mounts["data"].To != "/data" || task.Mounts["tmp"].Kind != "tmpfs" || f.Mounts["data"].Mode != "ro" {
		t.Errorf("mounts: %+v", task.Mounts)
	}
	if u := f.Tasks["u"]; u.GPU != nil || u.Env != nil || u.Mounts != nil || u.Network != nil || u.Limits != nil || u.Needs != nil {
		t.Errorf("a task that says nothing has nothing: %+v", u)
	}
}

func TestResolveChangesNoDocument(t *testing.T) {
	d, err := Parse("sandbox.toml", []byte(everyKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	before := d.root.plain()
	local := mustLocal(t, "env.set.A = \"1\"\nadd.apt.packages = [\"less\"]\n")
	for range 2 {
		if _, err := d.Resolve(ResolveOptions{Profiles: []string{"cpu"}, Local: local}); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(before, d.root.plain()) {
		t.Error("the document changed")
	}
}
