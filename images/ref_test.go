package images

import (
	"strings"
	"testing"
)

const d64 = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// goodRefs are references, and what they are in full.
func goodRefs() map[string]string {
	return map[string]string{
		"debian":                        "docker.io/library/debian:latest",
		"debian:bookworm":               "docker.io/library/debian:bookworm",
		"docker.io/debian":              "docker.io/library/debian:latest",
		"index.docker.io/library/a":     "docker.io/library/a:latest",
		"pytorch/pytorch:2.5.1-cuda":    "docker.io/pytorch/pytorch:2.5.1-cuda",
		"localhost/a":                   "localhost/a:latest",
		"localhost:5000/a/b_c__d-e--f":  "localhost:5000/a/b_c__d-e--f:latest",
		"reg.example.org:443/a/b:v1":    "reg.example.org:443/a/b:v1",
		"[::1]:5000/a:v1":               "[::1]:5000/a:v1",
		"[fd00::1]/a":                   "[fd00::1]/a:latest",
		"127.0.0.1:5000/ml:gz":          "127.0.0.1:5000/ml:gz",
		"Reg.Example/a":                 "Reg.Example/a:latest",
		"a@" + d64:                      "docker.io/library/a@" + d64,
		"a:v1@" + d64:                   "docker.io/library/a:v1@" + d64,
		"a:" + strings.Repeat("t", 128): "docker.io/library/a:" + strings.Repeat("t", 128),
		"oci:dir":                       "oci:dir",
		"oci:/a/b:v1":                   "oci:/a/b:v1",
		"oci:../a:b/c":                  "oci:../a:b/c",
		"oci-archive:x.tar":             "oci-archive:x.tar",
		"docker-archive:/tmp/a:b.tar":   "docker-archive:/tmp/a:b.tar",
		"dir:root fs":                   "dir:root fs",
	}
}

func TestParseRef(t *testing.T) {
	for in, want := range goodRefs() {
		r, err := ParseRef(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if r.String() != want {
			t.Errorf("%s: got %s, want %s", in, r, want)
		}
		again, err := ParseRef(r.String())
		if err != nil || again != r {
			t.Errorf("%s: not the same when read again: %#v %#v %v", in, again, r, err)
		}
	}
}

func badRefs() []string {
	return []string{
		"", " ", "Debian", "a/B", "a:", ":v", "a:-v", "a:" + strings.Repeat("t", 129), "a@sha256:12", "a@" + strings.ToUpper(d64),
		"a@sha512:" + strings.Repeat("0", 128), "a@md5:00", "../a", "a/../b", "a//b", "/a", "a/", "./a", "a b", "a\nb", "a:v 1", "http://a/b", "https://a/b:v",
		"a@" + d64 + "@" + d64, "-a", "a-", "a___b", "a..b", "reg.example:port/a", "[::1/a", "x:y:z", "deb:trixie", "oci:", "oci:a:", "dir:", "dir:\x00",
		"docker.io/" + strings.Repeat("a", 300), "ä", "reg.example", "a@", "reg_x.example/a",
	}
}

func TestParseRefRefuses(t *testing.T) {
	for _, in := range badRefs() {
		if r, err := ParseRef(in); err == nil && in != "reg.example" {
			t.Errorf("%q: accepted as %s", in, r)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	for s := range goodRefs() {
		f.Add(s)
	}
	for _, s := range badRefs() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			return
		}
		again, err := ParseRef(r.String())
		if err != nil || again != r {
			t.Errorf("%q → %q → %v, %v", s, r, again, err)
		}
		if r.Kind == Registry && (strings.Contains(r.Path, "..") || strings.HasPrefix(r.Path, "/")) {
			t.Errorf("%q: a path: %q", s, r.Path)
		}
	})
}
