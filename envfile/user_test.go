package envfile

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/internal/hint"
)

func TestUserConfig(t *testing.T) {
	u, err := ParseUserConfig("config.toml", []byte(`
stores = ["/shared/sandbox", "~/more"]
[index]
default = { url = "https://me:secret@index.example.org/simple" }
torch = { url = "https://torch.example.org/whl" }
[debian.Debian]
mirror = "http://mirror.example.org/debian"
snapshot = "https://snapshot.example.org"
keyring = "/usr/share/keyrings/k.gpg"
[debian."My Own"]
mirror = "https://own.example.org"
[registry."registry.example.org:5000"]
mirrors = ["mirror.example.org", "localhost:5000"]
insecure = true
ca = "~/ca.pem"
[tools]
uv = "/opt/uv"
[bind.mounts]
data = "/scratch/data"
[bind.secrets]
A = { env = "A_TOKEN" }
B = { file = "~/.b" }
C = { command = ["pass", "c", "c"] }
[limits]
memory = "32GiB"
time = "2d"
[submit.slurm]
account = "a1"
nodes = 2
[layers]
entries = 20_000_000
size = "2TiB"
ratio = 2000
memory = "1GiB"
[gc]
max-size = "100GB"
older-than = "30d"
`))
	if err != nil {
		t.Fatal(err)
	}
	u.tree = nil
	want := &UserConfig{
		Stores: []string{"/shared/sandbox", "~/more"},
		Index: map[string]UserIndex{
			"default": {"https://me:secret@index.example.org/simple"}, "torch": {"https://torch.example.org/whl"},
		},
		Debian: map[string]DebianOrigin{
			"Debian": {"http://mirror.example.org/debian", "https://snapshot.example.org", "/usr/share/keyrings/k.gpg"},
			"My Own": {Mirror: "https://own.example.org"},
		},
		Registry: map[string]RegistryConfig{
			"registry.example.org:5000": {[]string{"mirror.example.org", "localhost:5000"}, true, "~/ca.pem"},
		},
		UV: "/opt/uv",
		Bind: Bind{
			Mounts:  map[string]string{"data": "/scratch/data"},
			Secrets: map[string]SecretValue{"A": {Env: "A_TOKEN"}, "B": {File: "~/.b"}, "C": {Command: []string{"pass", "c", "c"}}},
		},
		Limits: Limits{Memory: 32 << 30, Time: "48h0m0s"},
		Submit: map[string]any{"slurm": map[string]any{"account": "a1", "nodes": int64(2)}},
		Layers: LayersConfig{Entries: 20_000_000, Size: 2 << 40, Ratio: 2000, Memory: 1 << 30},
		GC:     GCConfig{MaxSize: 100e9, OlderThan: 30 * 24 * time.Hour},
	}
	if !reflect.DeepEqual(u, want) {
		t.Errorf("%+v\nnot\n%+v", u, want)
	}
	empty, err := ParseUserConfig("config.toml", nil)
	if err != nil || !reflect.DeepEqual(empty.Bind, Bind{}) {
		t.Errorf("an empty one: %+v, %v", empty, err)
	}
}

// No secret that stands in a wrong place of a file comes out in an error.
func TestErrorsKeepSecrets(t *testing.T) {
	const secret = "hf_s3cret"
	local := func(s string) error { _, err := ParseLocal("l", []byte(s)); return err }
	user := func(s string) error { _, err := ParseUserConfig("u", []byte(s)); return err }
	file := func(s string) error { _, err := Parse("f", []byte(s)); return err }
	for _, err := range []error{
		local("[bind.secrets]\nA = \"" + secret + "\"\n"),
		local("[bind.secrets]\nA = { value = \"" + secret + "\" }\n"),
		local("[bind.secrets]\nA = { env = \"" + secret + "!\" }\n"),
		local("[bind.secrets]\nA = { file = \"" + secret + "\" }\n"),
		local("[bind.secrets]\nA = { command = \"" + secret + "\" }\n"),
		local("[bind.secrets]\nA = { command = [\n\"a\",\n7, \"" + secret + "\"] }\n"),
		local("[bind.secrets]\nA = { command = [\"a\", \"" + secret + "\\u0000\"] }\n"),
		local("[bind.secrets]\nA = [\n\"" + secret + "\",\n]\n"),
		local("[bind.secrets]\nA = " + secret + "\n"),
		local("[bind.secrets.A]\nvalue = '''\n" + secret + "'''\n"),
		local("[[bind.secrets]]\nA = \"" + secret + "\"\n"),
		user("[index]\na = \"https://x:" + secret + "@example.org\"\n"),
		user("[index.a]\nurl = \"ftp://x:" + secret + "@example.org\"\n"),
		user("[index.a]\nulr = \"https://x:" + secret + "@example.org\"\n"),
		file("[secrets.A]\nvalue = \"" + secret + "\"\n"),
		file("[secrets]\nA = \"" + secret + "\"\n"),
		file("[[python.index]]\nname = \"a\"\nurl = \"https://x:" + secret + "@example.org\"\n"),
		file("[[fetch]]\nurl = \"https://x:" + secret + "@example.org/f\"\nto = \"/f\"\nsha256 = \"" + strings.Repeat("a", 64) + "\"\n"),
	} {
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
}

func TestErrorsOfOthers(t *testing.T) {
	d, err := Parse("sandbox.toml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	err = d.Problem("no such suite", "try trixie", "image", "base")
	if want := "sandbox.toml:2:1: no such suite\n    base = \"deb:trixie\"\n    ^^^^ try trixie"; err.Error() != want {
		t.Errorf("%v", err)
	}
	if d.Name() != "sandbox.toml" || (*Document)(nil).Pos("a") != (Pos{}) || (&File{}).Pos("a") != (Pos{}) {
		t.Error("names and places of nothing")
	}
	_, err = Parse("sandbox.toml", []byte("requires = \">=7\"\n"), WithVersion("1.0"))
	var newer *VersionError
	if !errors.As(err, &newer) || newer.Want != ">=7" || newer.Have != "1.0" || len(hint.Of(err)) != 1 {
		t.Errorf("%#v", err)
	}
}
