package envfile

import (
	"errors"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/hint"
)

func TestWantsNameWhatAProjectAsks(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		// Paths.
		"[python]\nrequirements = [\"a.txt\", \"sub/../a.txt\", \"../shared/r.txt\", \"/etc/r.txt\"]": "path ../shared/r.txt, path /etc/r.txt",
		"[project]\nroot = \"..\"\n[python]\nrequirements = [\"../a.txt\", \"../../b.txt\"]":          "folder .., path ../../b.txt",
		"[project]\nroot = \"../a\"\n[python]\nrequirements = [\"../a/r.txt\", \"../ab/r.txt\"]":      "folder ../a, path ../ab/r.txt",
		"[project]\nroot = \"src\"\n[python]\nrequirements = [\"a.txt\"]":                             "",
		"[[apt.source]]\nurl = \"https://e.example\"\nsuite = \"s\"\nkey = \"../k\"":                  "path ../k",
		"[task.a]\nrun = \"x\"\ninputs = [\"../*.csv\"]":                                              "path ../*.csv",
		"[sources]\nvendor = [\"oci-archive:../v.tar\", \"r.example.org/v\"]":                         "path ../v.tar",
		// Mounts.
		"[mounts]\na = { to = \"/a\", kind = \"cache\" }\nb = { to = \"/b\", kind = \"host\" }":                                     "mount b",
		"[task.t]\nrun = \"x\"\nmounts = { b = { to = \"/b\", kind = \"host\" } }":                                                  "mount b of task t",
		"[mounts]\nb = { to = \"/b\", kind = \"host\" }\n[task.t]\nrun = \"x\"\nmounts = { c = { to = \"/c\", kind = \"tmpfs\" } }": "mount b",
		"[mounts]\nb = { to = \"/b\", kind = \"host\" }\n[task.t]\nrun = \"x\"\nmounts = { b = { mode = \"rw\" } }":                 "mount b, mount b of task t",
		"[service.s]\nimage = \"x\"\nmounts = { b = { to = \"/b\", kind = \"host\" } }":                                             "mount b of service s",
		"[service.s]\nimage = \"dir:../x\"\npublish = [\"1:1\", \"[::]:2:2\"]\nenv.pass = [\"TZ\", \"A\"]":                          "path ../x, port [::]:2:2, variable A of service s",
		"[env]\npass = [\"LANG\", \"LC_ALL\", \"TERM\", \"TZ\", \"https_proxy\", \"HOME\", \"SLURM_JWT\"]":                          "variable HOME, variable SLURM_JWT",
		"[env]\npass = [\"A\"]\n[task.t]\nrun = \"x\"\nenv = { pass = [\"A\", \"B\"] }":                                             "variable A, variable B of task t",
		"[secrets.A]\n[secrets.B]\nscope = \"build\"":                                                                               "secret A, secret B",
		"[devices]\ncdi = [\"v.example/c=n\"]\ninfiniband = \"auto\"":                                                               "InfiniBand devices, device v.example/c=n",
		"[network]\npublish = [\"80:80\", \"127.0.0.1:81:81\", \"[::1]:82:82\", \"0.0.0.0:83:83\", \"10.0.0.1:84:84\"]":             "port 0.0.0.0:83:83, port 10.0.0.1:84:84",
		"[network]\npublish = [\"0.0.0.0:83:83\"]\n[task.t]\nrun = \"x\"\nnetwork.mode = \"host\"":                                  "port 0.0.0.0:83:83",
		"[isolation]\nallow = [\"ptrace\"]":                                                                                         "looser isolation (ptrace)",
		"[[step]]\nrun = \"make\"\n[[step]]\nrun = \"curl x\"\nnetwork = true":                                                      `network for build step "curl x"`,
		"[secrets.T]\nscope = \"build\"\n[[step]]\nrun = [\"get\", \"x\"]\nnetwork = true\nsecrets = [\"T\"]":                       `network and secret T for build step "get x", secret T`,
		"[gpu]\nneed = \"required\"\n[network]\nmode = \"private\"":                                                                 "",
	} {
		w := mustResolve(t, minimal+text, ResolveOptions{}).Wants()
		if got := w.String(); got != want {
			t.Errorf("%s\n%s\nnot %s", text, got, want)
		}
		if w.Empty() != (want == "") || (w.Err() == nil) != w.Empty() {
			t.Errorf("%s: Empty %t, Err %v", text, w.Empty(), w.Err())
		}
	}
	f := mustResolve(t, "[image]\nbase = \"deb:trixie\"\nkeyring = \"/usr/share/keyrings/k.gpg\"\n", ResolveOptions{})
	if got := f.Wants().String(); got != "path /usr/share/keyrings/k.gpg" {
		t.Error(got)
	}
	f = mustResolve(t, "[image]\ndockerfile = \"../Dockerfile\"\n", ResolveOptions{})
	if got := f.Wants().String(); got != "path ../Dockerfile" {
		t.Error(got)
	}
}

func TestConsentErrorSaysHowToGoOn(t *testing.T) {
	f := mustResolve(t, minimal+"[mounts]\ndata = { to = \"/data\", kind = \"host\", about = \"see README\" }\n[secrets.HF_TOKEN]\n", ResolveOptions{})
	err := f.Wants().Err()
	if err.Error() != "this project asks for things of your machine: mount data, secret HF_TOKEN" {
		t.Error(err)
	}
	if hints := hint.Of(err); len(hints) != 1 || !strings.Contains(hints[0], "`sandbox trust`") {
		t.Error(hints)
	}
	var consent *ConsentError
	if !errors.As(err, &consent) || consent.Wants[0].About != "see README" || consent.Wants[0].Pos.String() != "sandbox.toml:4:1" {
		t.Errorf("%+v", consent)
	}
}

// The user agrees to exactly what was shown: every change of it needs to be asked again, and nothing
// else does.
func TestDigestChangesWithWhatWasAskedOnly(t *testing.T) {
	base := `
[mounts]
data = { to = "/data", kind = "host", about = "a" }
[env]
pass = ["A", "B"]
[secrets.S]
[[step]]
run = "curl x"
network = true
`
	digest := func(text string, o ResolveOptions) string {
		t.Helper()
		d, err := Parse("sandbox.toml", []byte(minimal+text))
		if err != nil {
			t.Fatal(err)
		}
		f, err := d.Resolve(o)
		if err != nil {
			t.Fatal(err)
		}
		return f.Wants().Digest()
	}
	want := digest(base, ResolveOptions{})
	if want != "sha256:4eb5d1128d9e931e3c078ded7bd251080ba24fe4a0105a78372c0751dd0a4601" {
		t.Errorf("the digest of these wants was another one; users would all be asked again: %s", want)
	}
	for _, same := range [][2]string{
		{`about = "a"`, `about = "b"`},
		{`["A", "B"]`, `["B", "TZ", "A"]`},
		{"[secrets.S]", "[apt]\npackages = [\"git\"]\n[secrets.S]\nabout = \"x\"\noptional = true"},
		{"[[step]]", "[[step]]\nrun = \"make\"\n[[step]]"},
		{"[env]", "# a comment\n[env]"},
	} {
		if got := digest(strings.Replace(base, same[0], same[1], 1), ResolveOptions{}); got != want {
			t.Errorf("changed by %s", same[1])
		}
	}
	for _, other := range [][2]string{
		{`to = "/data"`, `to = "/data2"`},
		{`kind = "host"`, `kind = "host", mode = "rw"`},
		{`data =`, `dat =`},
		{`["A", "B"]`, `["A"]`},
		{`["A", "B"]`, `["A", "B", "C"]`},
		{"[secrets.S]", "[secrets.S]\nas = \"/run/s\""},
		{"[secrets.S]", "[secrets.S2]"},
		{"curl x", "curl y"},
		{"network = true", "network = true\nenv = { A = \"1\" }"},
		{"[env]", "[isolation]\nallow = [\"perf\"]\n[env]"},
	} {
		if got := digest(strings.Replace(base, other[0], other[1], 1), ResolveOptions{}); got == want {
			t.Errorf("not changed by %s", other[1])
		}
	}
	// What the user binds and adds is the user's own.
	local := mustLocal(t, "[bind.mounts]\ndata = \"/x\"\n[mounts]\nown = { to = \"/own\", kind = \"host\" }\n")
	if got := digest(base, ResolveOptions{Local: local}); got != want {
		t.Error("changed by what the user's own file adds")
	}
	if got := digest(base, ResolveOptions{Overrides: map[string]any{
		"add.env.pass": []string{"MINE"}, "network.publish": []string{"0.0.0.0:80:80"}, "isolation.allow": []string{"perf"},
		"mounts.m": map[string]any{"to": "/m", "kind": "host"},
	}}); got != want {
		t.Error("changed by what the command line grants")
	}
	// But a project's mount stays one when the user changes a part of it.
	local = mustLocal(t, "[mounts]\ndata.mode = \"rw\"\n")
	if got := mustResolve(t, minimal+base, ResolveOptions{Local: local}).Wants().String(); !strings.Contains(got, "mount data") {
		t.Error(got)
	}
}
