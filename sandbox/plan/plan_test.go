package plan_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile/terms"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

var update = flag.Bool("update", false, "write the golden files")

func inputs() plan.Inputs {
	return plan.Inputs{
		Env: plan.Env{
			Name: "Toy Train", Digest: "sha256:00", At: "/workspace", Network: "host", PythonEnv: true, Apt: true, AptSources: true,
			Lowers:   []spec.Lower{{Path: "/store/layers-v1/aa/fs", Why: "base deb:trixie"}, {Path: "/store/layers-v1/bb/fs", Why: "apt"}},
			User:     plan.User{Name: "root", Home: "/root", Shell: "/bin/bash"},
			ImageEnv: []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"},
			Set:      map[string]string{"OMP_NUM_THREADS": "2"},
			Pass:     []string{"WANDB_MODE"},
			Mounts: map[string]terms.Mount{
				"data":  {To: "/data", Kind: "host", Mode: "ro"},
				"cache": {To: "/data/cache", Kind: "cache", Mode: "rw"},
				"fast":  {To: "/fast", Kind: "tmpfs", Size: 1 << 30},
			},
			Sources: map[string]string{"mounts.data": "sandbox.toml:12"},
			Fetches: []plan.Fetched{{Source: "/store/blobs-v1/sha256/ff", To: "/opt/weights.pt"}},
		},
		Host: plan.Host{
			UID: 1000, GID: 1000, ResolvConf: "/etc/resolv.conf", Hosts: "127.0.0.1 localhost\n", CABundle: "/etc/ssl/certs/ca-certificates.crt",
			AptList: "deb [signed-by=/run/sandbox/archive-keyring] http://mirror.invalid/debian trixie main\n", AptKeyring: "/usr/share/keyrings/k.gpg",
			Environ: map[string]string{"HOME": "/home/a", "SECRET_TOKEN": "x", "TERM": "xterm", "LC_ALL": "de_DE.UTF-8", "WANDB_MODE": "offline", "SSH_AUTH_SOCK": "/tmp/s", "https_proxy": "http://proxy.invalid:3128"},
		},
		Project: &plan.Project{Dir: "/home/a/code", Rel: "sub", OwnerUID: 1000, OwnerGID: 1000, Store: ".store"},
		Sandbox: plan.Sandbox{Upper: "/store/s/upper", Work: "/store/s/work", Tmp: "/store/s/tmp", Volatile: true, Cache: "/store/caches-v1/home", Stubs: "/store/layers-v1/5b/fs"},
		Args:    []string{"python", "train.py"},
		Extra:   plan.Extra{Bind: map[string]string{"data": "/scratch/imagenet"}, Caches: map[string]string{"cache": "/store/caches-v1/user/cache"}},
	}
}

func TestPlanGolden(t *testing.T) {
	cases := map[string]func(*plan.Inputs){
		"user":       func(*plan.Inputs) {},
		"root-other": func(in *plan.Inputs) { in.Host.UID, in.Host.GID = 0, 0 },
		"no-network": func(in *plan.Inputs) { in.Env.Network = "none" },
		"image": func(in *plan.Inputs) {
			in.Project, in.Env.Mounts, in.Env.Fetches, in.Sandbox.Cache = nil, nil, nil, ""
			in.Env.WorkingDir = "/srv"
			in.Env.User = plan.User{UID: 33, GID: 33, Name: "www-data", Home: "/var/www"}
		},
		"same-path": func(in *plan.Inputs) { in.Env.At = "same" },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			in := inputs()
			change(&in)
			s, err := plan.Plan(in)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(s, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the plan differs from %s; go test -update writes it:\n%s", file, got)
			}
		})
	}
}

// What the env file does not ask for, the code does not get.
func TestEnvironmentIsAList(t *testing.T) {
	s, err := plan.Plan(inputs())
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(s.Process.Env, "\n")
	for _, never := range []string{"SECRET_TOKEN", "SSH_AUTH_SOCK", "/home/a"} {
		if strings.Contains(all, never) {
			t.Errorf("%s crossed from the host:\n%s", never, all)
		}
	}
	for _, must := range []string{"WANDB_MODE=offline", "TERM=xterm", "LC_ALL=de_DE.UTF-8", "https_proxy=http://proxy.invalid:3128", "PATH=/opt/env/bin:/usr/bin:/bin", "HOME=/root", "APT_CONFIG=/run/sandbox/apt.conf"} {
		if !slices.Contains(s.Process.Env, must) {
			t.Errorf("%s is missing:\n%s", must, all)
		}
	}
}

func TestEveryOperationSaysWhy(t *testing.T) {
	s, err := plan.Plan(inputs())
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range s.Ops {
		if op.Why == "" {
			t.Errorf("%s %s has no reason", op.Kind, op.Target)
		}
	}
}

func TestOuterMountsComeFirst(t *testing.T) {
	s, err := plan.Plan(inputs())
	if err != nil {
		t.Fatal(err)
	}
	at := func(target string) int {
		return slices.IndexFunc(s.Ops, func(o spec.Op) bool { return o.Target == target && o.Kind == spec.Bind })
	}
	if at("/data") < 0 || at("/data") > at("/data/cache") {
		t.Errorf("/data at %d, /data/cache at %d", at("/data"), at("/data/cache"))
	}
}

func TestStubs(t *testing.T) {
	s, err := plan.Plan(inputs())
	if err != nil {
		t.Fatal(err)
	}
	stubs := plan.Stubs(s, func(p string) bool { return p == "/etc/resolv.conf" || strings.HasPrefix(p, "/store/blobs") })
	files := map[string]bool{}
	for _, st := range stubs {
		files[st.Path] = st.File
		if strings.HasPrefix(st.Path, "/dev/") || strings.HasPrefix(st.Path, plan.Run+"/") {
			t.Errorf("%s is made in a tmpfs of ours and needs no stub", st.Path)
		}
	}
	for path, file := range map[string]bool{"/proc": false, "/workspace": false, "/etc/hosts": true, "/etc/resolv.conf": true, "/opt/weights.pt": true, "/root/.cache": false, plan.Run: false} {
		if got, ok := files[path]; !ok || got != file {
			t.Errorf("stub %s: there %t, file %t; want file %t", path, ok, got, file)
		}
	}
}

func TestRefused(t *testing.T) {
	in := inputs()
	in.Args = nil
	if _, err := plan.Plan(in); err == nil {
		t.Error("a plan without a command")
	}
	in = inputs()
	in.Extra.Bind = nil
	if _, err := plan.Plan(in); err == nil || err.Error() != "mount data has no source" {
		t.Errorf("a host mount that nobody bound: %v", err)
	}
}

// What is mounted empty has no mount points of its own: they are made, and never in a folder of the host's.
func TestMountsInEmptyPlaces(t *testing.T) {
	in := inputs()
	in.Extra.Mounts = map[string]terms.Mount{
		"--mount 1": {Kind: "host", From: "/host/file", To: "/tmp/deep/er/file"},
		"--mount 2": {Kind: "host", From: "/host/dir", To: "/dev/dir"},
		"--mount 3": {Kind: "host", From: "/host/more", To: "/dev/dir/more"},
		"--mount 4": {Kind: "tmpfs", To: "/tmp/t"},
		"--mount 5": {Kind: "host", From: "/host/file", To: "/fast/file"},
		"--mount 6": {Kind: "host", From: "/host/file", To: "/opt/file"},
		"--mount 7": {Kind: "host", From: "/host/dir", To: "/dev/shm"},
	}
	s, err := plan.Plan(in)
	if err != nil {
		t.Fatal(err)
	}
	before := len(s.Ops)
	file := func(p string) bool { return p == "/host/file" }
	plan.MakePoints(s, in.Sandbox.Tmp, file)
	var made []string
	for i, op := range s.Ops {
		if op.Why == "--mount" && (op.Kind == spec.Dir || op.Kind == spec.File) {
			made = append(made, string(op.Kind)+" "+op.Target)
			if !slices.ContainsFunc(s.Ops[i:], func(o spec.Op) bool { return o.Kind == spec.Bind || o.Kind == spec.Tmpfs }) {
				t.Errorf("%s is made after what is mounted on it", op.Target)
			}
		}
	}
	want := []string{"dir /dev/dir", "file /fast/file", "dir /tmp/deep/er", "file /tmp/deep/er/file", "dir /tmp/t"}
	if !slices.Equal(made, want) || len(s.Ops) != before+len(want) {
		t.Errorf("made %v and %d others; want %v", made, len(s.Ops)-before-len(made), want)
	}
	for _, st := range plan.Stubs(s, file) {
		if strings.HasPrefix(st.Path, "/tmp/") || strings.HasPrefix(st.Path, "/dev/") {
			t.Errorf("a stub for %s, which nobody would see", st.Path)
		}
	}
	// Who mounts a folder of the host on /tmp keeps it as it is.
	in.Extra.Mounts = map[string]terms.Mount{"--mount a": {Kind: "host", From: "/host/dir", To: "/tmp"}, "--mount b": {Kind: "host", From: "/host/dir", To: "/tmp/in"}}
	if s, err = plan.Plan(in); err != nil {
		t.Fatal(err)
	}
	before = len(s.Ops)
	if plan.MakePoints(s, in.Sandbox.Tmp, file); len(s.Ops) != before {
		t.Error("something is made in a folder of the host")
	}
}

func TestOurFolderIsOurs(t *testing.T) {
	for _, to := range []string{plan.Run, plan.Run + "/check"} {
		in := inputs()
		in.Extra.Mounts = map[string]terms.Mount{"--mount /x:" + to: {Kind: "host", From: "/x", To: to}}
		_, err := plan.Plan(in)
		if want := "--mount /x:" + to + ": /run/sandbox is for the sandbox's own files"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		in = inputs()
		in.Env.Mounts["data"] = terms.Mount{Kind: "host", To: to}
		_, err = plan.Plan(in)
		if want := "sandbox.toml:12: mounts.data: /run/sandbox is for the sandbox's own files"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
