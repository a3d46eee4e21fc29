package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// One lock, built by different users into empty stores over one shared download cache, comes out as the same
// layers: [built] says so, byte for byte. What they export is the same file. An ordinary user fetches nothing that the
// cache has.
func TestBuiltIsTheSameForEveryUser(t *testing.T) {
	if os.Getenv(sharedVar) != "" {
		t.Skip("by the process that can become other users")
	}
	testenv.Need(t, "users", "userns", "overlay", "mirror", "index")
	s := share(t)
	const small = `schema = 1
[image]
base = "deb:trixie"
[apt]
packages = ["tree"]
[toolchain]
python = "3.13"
[python]
packages = ["six"]
[[step]]
run = "mkdir -p /opt/made && chmod 750 /opt/made && echo made >/opt/made/file && ln -s file /opt/made/link"
`
	others := []builder{{testenv.WithSubuid, "077"}, {testenv.WithoutSubuid, "022"}}
	t.Run("small", func(t *testing.T) { builtTheSame(t, s, map[string]string{"sandbox.toml": small}, others...) })
	t.Run("train-digits", func(t *testing.T) {
		if os.Getenv(allVar) == "" {
			t.Skip("takes minutes; with " + allVar + "=1")
		}
		env, err := os.ReadFile(filepath.Join(s.dir, "examples/train-digits/sandbox.toml"))
		if err != nil {
			t.Fatal(err)
		}
		builtTheSame(t, s, map[string]string{"sandbox.toml": string(env)}, others...)
	})
}

type builder struct{ user, umask string }

func builtTheSame(t *testing.T, s shared, files map[string]string, others ...builder) {
	root := newBuilderHome(t, s, builder{"", "022"}, files)
	root.sandbox(t, "lock")
	pins := root.read(t, "sandbox.lock")
	root.sandbox(t, "build")
	want := root.read(t, "sandbox.lock")
	if bytes.Equal(pins, want) || !bytes.Contains(want, []byte(".built")) {
		t.Fatalf("nothing of what was built is in the lock:\n%s", want)
	}
	file := root.export(t)
	(&cacheUse{dir: s.cache, on: true}).harvest(root.store())
	files["sandbox.lock"] = string(pins)
	for _, b := range others {
		h := newBuilderHome(t, s, b, files)
		h.sandbox(t, "build")
		if got := h.read(t, "sandbox.lock"); !bytes.Equal(got, want) {
			t.Errorf("%s with umask %s has another lock than root:\n%s\nroot has\n%s", b.user, b.umask, got, want)
		}
		if got := h.export(t); got != file {
			t.Errorf("%s with umask %s exports a file of sha256 %s, root %s", b.user, b.umask, got, file)
		}
		own, _ := filepath.Glob(filepath.Join(h.store(), "blobs-v1/sha256/*"))
		for _, blob := range own {
			if _, err := os.Stat(filepath.Join(s.cache, "blobs-v1/sha256", filepath.Base(blob))); err == nil {
				t.Errorf("%s fetched what the cache has: %s", b.user, filepath.Base(blob))
			}
		}
	}
}

// builderHome is a user with an empty store and a project.
type builderHome struct {
	*testenv.User
	prog, umask string
}

func newBuilderHome(t *testing.T, s shared, b builder, files map[string]string) *builderHome {
	t.Helper()
	h := &builderHome{testenv.As(t, b.user), filepath.Join(s.dir, "bin/sandbox"), b.umask}
	all := map[string]string{".config/sandbox/config.toml": fmt.Sprintf("stores = [%q]\n", s.cache)}
	for name, text := range files {
		all["project/"+name] = text
	}
	for _, dir := range []string{".config", ".config/sandbox", "project"} {
		if err := os.Mkdir(filepath.Join(h.Home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		h.Own(t, filepath.Join(h.Home, dir))
	}
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(h.Home, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		h.Own(t, filepath.Join(h.Home, name))
	}
	return h
}

func (h *builderHome) store() string { return filepath.Join(h.Home, ".local/share/sandbox") }

func (h *builderHome) sandbox(t *testing.T, verb string, args ...string) {
	t.Helper()
	cmd := h.Command("sh", append([]string{"-c", `umask "$1"; shift; exec "$@"`, "sh", h.umask, h.prog, "-q", verb, "-C", "project"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sandbox %s as %s: %v\n%s", verb, h.Name, err, out)
	}
}

// export is the sha256 of the file that the environment leaves as.
func (h *builderHome) export(t *testing.T) string {
	t.Helper()
	path := filepath.Join(h.Home, "built.tar")
	h.sandbox(t, "export", "--name", "team/built:1", "-o", path)
	defer os.Remove(path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (h *builderHome) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.Home, "project", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
