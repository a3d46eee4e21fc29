package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

func auth(user string) string { return base64.StdEncoding.EncodeToString([]byte(user + ":pass-word")) }

// lookup finds the user for host/path in one docker config file.
func lookup(t *testing.T, config, host, path string) (user string, err error) {
	t.Helper()
	dir := t.TempDir()
	if config != "" {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := &keychain{func(name string) string { return map[string]string{"DOCKER_CONFIG": dir}[name] }, "", t.TempDir()}
	a, err := k.find(t.Context(), host, path)
	if err != nil && strings.Contains(err.Error(), "pass-word") {
		t.Errorf("a secret in an error: %v", err)
	}
	c, aerr := authn.Authorization(t.Context(), a)
	if aerr != nil {
		t.Fatal(aerr)
	}
	return c.Username, err
}

func TestEntries(t *testing.T) {
	entry := func(key string) string { return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, key, auth("u")) }
	cases := []struct {
		config, host, path, want string
	}{
		{"", "reg.example", "a", ""},
		{"{}", "reg.example", "a", ""},
		{entry("reg.example"), "reg.example", "a", "u"},
		{entry("https://reg.example/v1/"), "reg.example", "a", "u"},
		{entry("http://reg.example/v2"), "reg.example", "a", "u"},
		{entry("reg.example"), "reg.example:5000", "a", ""},
		{entry("reg.example:5000"), "reg.example", "a", ""},
		{entry("reg.example"), "other.reg.example", "a", ""},
		{entry("reg.example"), "reg.example.other", "a", ""},
		{entry("reg.example/team"), "reg.example", "team/app", "u"},
		{entry("reg.example/team"), "reg.example", "teams/app", ""},
		{entry("https://index.docker.io/v1/"), "index.docker.io", "library/a", "u"},
		{entry("docker.io"), "index.docker.io", "library/a", "u"},
		{entry("docker.io"), "reg.example", "library/a", ""},
		{"\xef\xbb\xbf" + entry("reg.example"), "reg.example", "a", "u"},
		{fmt.Sprintf(`{"auths":{"reg.example":{"auth":%q},"reg.example/a":{"auth":%q}}}`, auth("wide"), auth("narrow")), "reg.example", "a", "narrow"},
		{`{"auths":{"reg.example":{"username":"plain","password":"pass-word"}}}`, "reg.example", "a", "plain"},
		{`{"auths":{"reg.example":{}}}`, "reg.example", "a", ""},
	}
	for _, c := range cases {
		if got, err := lookup(t, c.config, c.host, c.path); got != c.want || err != nil {
			t.Errorf("%s for %s/%s: got %q %v, want %q", c.config, c.host, c.path, got, err, c.want)
		}
	}
}

func TestBadFiles(t *testing.T) {
	for _, config := range []string{"{", "[]", `{"auths":5}`, `{"auths":{"reg.example":{"auth":"***pass-word"}}}`, `{"auths":{"reg.example":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("nocolon")) + `"}}}`, `{"pass-word"`, strings.Repeat(" ", maxAuthFile) + "{}"} {
		if user, err := lookup(t, config, "reg.example", "a"); user != "" || err == nil {
			t.Errorf("%.40s: %q %v", config, user, err)
		}
	}
	for name, make := range map[string]func(path string) error{
		"folder": func(p string) error { return os.Mkdir(p, 0o755) },
		"fifo":   func(p string) error { return syscall.Mkfifo(p, 0o600) },
	} {
		dir := t.TempDir()
		if err := make(filepath.Join(dir, "config.json")); err != nil {
			t.Fatal(err)
		}
		k := &keychain{func(n string) string { return map[string]string{"DOCKER_CONFIG": dir}[n] }, "", t.TempDir()}
		if _, err := k.find(t.Context(), "reg.example", "a"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestHelpers(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	helper := func(name, script string) {
		if err := os.WriteFile(filepath.Join(bin, "docker-credential-"+name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	helper("good", `read s; echo "{\"Username\":\"from $s\",\"Secret\":\"pass-word\"}"`)
	helper("none", `echo "credentials not found in native keychain"; exit 1`)
	helper("fails", `echo pass-word; echo broken >&2; exit 3`)
	helper("rubbish", `echo pass-word`)
	helper("flood", `yes pass-word | head -c 1000000`)
	entry := fmt.Sprintf(`"auths":{"reg.example":{"auth":%q}}`, auth("entry"))
	cases := []struct {
		config, want string
		fails        bool
	}{
		{`{"credHelpers":{"reg.example":"good"},"credsStore":"none"}`, "from reg.example", false},
		{`{"credHelpers":{"other.example":"fails"},"credsStore":"good"}`, "from reg.example", false},
		{`{"credsStore":"none",` + entry + `}`, "entry", false},
		{`{"credsStore":"none"}`, "", false},
		{`{"credsStore":"fails"}`, "", true},
		{`{"credsStore":"fails",` + entry + `}`, "entry", false},
		{`{"credsStore":"missing"}`, "", true},
		{`{"credsStore":"rubbish"}`, "", true},
		{`{"credsStore":"flood"}`, "", true},
		{`{"credsStore":"../../bin/sh"}`, "", true},
	}
	for _, c := range cases {
		user, err := lookup(t, c.config, "reg.example", "a")
		if user != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %q %v", c.config, user, err)
		}
		if err != nil && strings.HasSuffix(err.Error(), " ") {
			t.Errorf("%s: %q ends in a space", c.config, err)
		}
	}
	if user, _ := lookup(t, `{"credsStore":"good"}`, "index.docker.io", "library/a"); user != "from https://index.docker.io/v1/" {
		t.Errorf("the hub is known as %q", user)
	}
}

// T-73: the first file that knows a registry wins: what was named for this command, docker's, then podman's; a file
// that cannot be read is told, and the next one is asked.
func TestOrderOfFiles(t *testing.T) {
	home := t.TempDir()
	env := map[string]string{"REGISTRY_AUTH_FILE": home + "/flag.json", "DOCKER_CONFIG": home + "/docker", "XDG_RUNTIME_DIR": home + "/run", "XDG_CONFIG_HOME": home + "/conf"}
	k := &keychain{func(name string) string { return env[name] }, home, t.TempDir()}
	files := []string{"DOCKER_AUTH_CONFIG", "flag.json", "docker/config.json", "run/containers/auth.json", "conf/containers/auth.json"}
	entry := func(user string) string { return fmt.Sprintf(`{"auths":{"reg.example":{"auth":%q}}}`, auth(user)) }
	for _, f := range files[1:] {
		if err := os.MkdirAll(filepath.Join(home, filepath.Dir(f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, f), []byte(entry(f)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env["DOCKER_AUTH_CONFIG"] = entry("DOCKER_AUTH_CONFIG")
	for i, want := range files {
		a, err := k.find(t.Context(), "reg.example", "a")
		c, _ := authn.Authorization(t.Context(), a)
		if c.Username != want || err != nil {
			t.Errorf("%q %v, want %q", c.Username, err, want)
		}
		// The next time this one is of no use: T-74, in as many ways as there are.
		path := filepath.Join(home, want)
		switch i {
		case 0:
			env[want] = ""
		case 1:
			os.Remove(path)
			os.Symlink("flag.json", path) // cannot be opened, by nobody
		case 2:
			os.WriteFile(path, []byte("{"), 0o600)
		case 3:
			os.WriteFile(path, []byte(strings.ReplaceAll(entry("x"), "reg.example", "other.example")), 0o600)
		case 4:
			os.WriteFile(path, nil, 0o600)
		}
	}
	a, err := k.find(t.Context(), "reg.example", "a")
	if a != authn.Anonymous || err == nil || !strings.Contains(err.Error(), "flag.json") || !strings.Contains(err.Error(), "docker/config.json") {
		t.Errorf("nobody knows it: %v, %v", a, err)
	}
}

// T-73: a helper that does not answer, and whose children hold its pipes, ends with whoever asked.
func TestHelperThatHangs(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-hangs"), []byte("#!/bin/sh\nsleep 60 &\nwait\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := askHelper(ctx, "hangs", "reg.example")
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "docker-credential-hangs") {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it goes on")
	}
}

// Without a session podman keeps its accounts below /tmp, where a folder of somebody else's or for everybody is not believed.
func TestAccountsWithoutSession(t *testing.T) {
	tmp := t.TempDir()
	env := map[string]string{"TMPDIR": tmp}
	k := &keychain{func(name string) string { return env[name] }, t.TempDir(), t.TempDir()}
	dir := filepath.Join(tmp, fmt.Sprintf("podman-run-%d", os.Getuid()))
	if err := os.MkdirAll(filepath.Join(dir, "containers"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "containers", "auth.json")
	if err := os.WriteFile(file, []byte(fmt.Sprintf(`{"auths":{"reg.example":{"auth":%q}}}`, auth("me"))), 0o600); err != nil {
		t.Fatal(err)
	}
	known := func() bool {
		a, err := k.find(t.Context(), "reg.example", "a")
		if err != nil {
			t.Error(err)
		}
		return a != authn.Anonymous
	}
	if !known() {
		t.Error("podman's file is not read")
	}
	session := filepath.Join(k.run, "user", strconv.Itoa(os.Getuid()), "containers", "auth.json")
	if p := k.paths(); slices.Index(p, session) < 0 || slices.Index(p, session) > slices.Index(p, file) {
		t.Errorf("podman uses the folder of a session first, if there is one: %q", p)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if known() {
		t.Error("a folder that everybody can write is believed")
	}
	os.Chmod(dir, 0o700)
	env["XDG_RUNTIME_DIR"] = t.TempDir()
	if known() {
		t.Error("it is read although there is a session")
	}
}
