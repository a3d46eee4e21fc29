package envfile

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// Every value that the table of keys calls later is refused with its place, each time that it stands there.
func TestUnsupported(t *testing.T) {
	docker := strings.Replace(minimal, `base = "deb:trixie"`, "dockerfile = \"Dockerfile\"\nargs = { A = \"1\" }\ntarget = \"x\"", 1)
	if docker == minimal {
		t.Fatal("the smallest file has another base")
	}
	twice := minimal + `[[step]]
run = "true"
[[step]]
run = "true"
after = ["x"]
[[step]]
run = "true"
after = ["y"]
[network]
mode = "private"
allow = ["example.org:443"]
[isolation]
allow = ["ptrace", "perf", "nested"]
[task.a]
run = "true"
network = { mode = "private" }
[service.db]
image = "postgres:16"
[service.cache]
image = "redis:7"
`
	var all Problems
	for _, f := range []*File{mustResolve(t, everyKey(t), ResolveOptions{}), mustResolve(t, docker, ResolveOptions{}), mustResolve(t, twice, ResolveOptions{})} {
		var found Problems
		if err := f.Unsupported(); !errors.As(err, &found) {
			t.Fatalf("no problems: %v", err)
		}
		for _, p := range found {
			if p.Pos.Line == 0 || p.Line == "" {
				t.Errorf("%s has no place", p.Msg)
			}
		}
		all = append(all, found...)
	}
	golden(t, "unsupported.txt", all.Error()+"\n")
	for _, row := range projectKeys() {
		name := strings.TrimSuffix(strings.ReplaceAll(row.path, "[]", ""), ".NAME")
		if row.later != nil && !slices.ContainsFunc(all, func(p Problem) bool { return names(p.Msg, name) }) {
			t.Errorf("%s is later in the table of keys, and was not refused", row.path)
		}
	}
}

// names tells whether a message is about a key, whose NAMEs are any.
func names(msg, key string) bool {
	at := 0
	for _, part := range strings.Split(key, ".") {
		i := strings.Index(msg[at:], part)
		if part != "NAME" && i < 0 {
			return false
		}
		at += max(i, 0)
	}
	return true
}

func TestSupported(t *testing.T) {
	for _, text := range []string{
		minimal,
		minimal + "ids = \"single\"\n",
		minimal + "[python]\ninto = \"env\"\nsdist = \"deny\"\n[sources]\nvendor = []\n[isolation]\nallow = [\"ptrace\"]\n[network]\nmode = \"none\"\npublish = []\n[secrets]\n",
		minimal + "[profile.p.network]\nmode = \"private\"\n", // nobody asks for it
	} {
		if err := mustResolve(t, text, ResolveOptions{}).Unsupported(); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
	f := mustResolve(t, minimal+"[profile.p.network]\nmode = \"private\"\n", ResolveOptions{Profiles: []string{"p"}})
	if err := f.Unsupported(); err == nil {
		t.Error("what a profile asks for is not looked at")
	}
	if err := (&File{Services: map[string]Service{"s": {}}}).Unsupported(); err != nil {
		t.Error(err)
	}
}
