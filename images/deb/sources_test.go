package deb

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParseList(t *testing.T) {
	text := `
# a comment
deb http://m.example/debian/ bookworm main contrib # more
deb-src http://m.example/debian bookworm main
deb	[arch=amd64,arm64 signed-by=/k/a.gpg,/k/b.asc trusted=yes check-valid-until=no lang=none]  http://x.example/y  ./
`
	got, err := ParseList(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []Source{
		{URI: "http://m.example/debian", Suite: "bookworm", Components: []string{"main", "contrib"}},
		{URI: "http://x.example/y", Suite: "./", Components: []string{}, Archs: []string{"amd64", "arm64"}, Keyring: []string{"/k/a.gpg", "/k/b.asc"}, Trusted: true, NoExpiry: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, bad := range []string{"deb", "deb http://x.example", "deb [a http://x.example y z", "rpm http://x.example y z", "deb http://x.example suite", "deb [signed-by=k.gpg] http://x.example s c"} {
		if got, err := ParseList(bad); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: got %+v, %v", bad, got, err)
		}
	}
}

func TestParseSources(t *testing.T) {
	text := `Types: deb deb-src
URIs: http://m.example/debian/ http://n.example/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
Enabled: no
URIs: http://off.example
Suites: x
Components: y

# inline
Types: deb
URIs: http://i.example/
Suites: /
Architectures: amd64
Trusted: no
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQIN
 -----END PGP PUBLIC KEY BLOCK-----
`
	got, err := ParseSources(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 5 {
		t.Fatalf("got %d: %+v", len(got), got)
	}
	if s := got[1]; s.URI != "http://m.example/debian" || s.Suite != "trixie-updates" || len(s.Keyring) != 1 || len(s.Components) != 2 {
		t.Errorf("got %+v", s)
	}
	i := got[4]
	if len(i.Keys) != 1 || i.Keys[0] != "\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQIN\n-----END PGP PUBLIC KEY BLOCK-----\n" || i.Trusted || i.base() != "http://i.example" {
		t.Errorf("got %+v", i)
	}
	for _, bad := range []string{"URIs: x\nSuites: y\n", "Types: deb\nURIs: http://x.example\nSuites: y\n", " x", "Types: deb\nTypes: deb\n", "novalue\n"} {
		if got, err := ParseSources(bad); err == nil {
			t.Errorf("%q: got %+v", bad, got)
		}
	}
}

func TestHostSources(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("etc/apt/sources.list", "deb cdrom:[disk]/ x main\ndeb http://one.example/d s main\n")
	write("etc/apt/sources.list.d/b.sources", "Types: deb\nURIs: http://two.example\nSuites: s\nComponents: main\nSigned-By: /k.gpg\n")
	write("etc/apt/sources.list.d/a.list", "deb http://three.example s main\n")
	write("etc/apt/sources.list.d/c.list.save", "nonsense")
	write("var/lib/apt/lists/one.example_d_dists_s_InRelease", "x\nOrigin: Debian\n")
	write("usr/share/keyrings/debian-archive-keyring.gpg", "")
	write("usr/share/keyrings/debian-archive-removed-keys.gpg", "")
	write("usr/share/keyrings/vendor-archive-keyring.gpg", "")
	write("etc/apt/trusted.gpg.d/x.asc", "")
	got, err := HostSources(root)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, h := range got {
		s = append(s, h.URI+" "+h.Origin+strings.Join(h.Keyring, ""))
	}
	if want := "http://one.example/d Debian,http://three.example ,http://two.example " + root + "/k.gpg"; strings.Join(s, ",") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(s, ","), want)
	}
	if k := HostKeyrings(root); len(k) != 2 {
		t.Errorf("keyrings: %q", k)
	}
	write("etc/apt/sources.list", "bad line\n")
	if _, err := HostSources(root); err == nil || !strings.Contains(err.Error(), "sources.list: line 1") {
		t.Errorf("got %v", err)
	}
}

func FuzzParseSources(f *testing.F) {
	f.Add("deb [signed-by=/k trusted=yes] http://x.example s c\n")
	f.Add("Types: deb\nURIs: http://x.example\nSuites: s\nComponents: c\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, parse := range []func(string) ([]Source, error){ParseList, ParseSources} {
			got, err := parse(s)
			if err != nil {
				continue
			}
			for _, s := range got {
				if s.usable() == "" && strings.Contains(s.base()+"/", "/../") && !strings.Contains(s.URI, "..") {
					t.Fatalf("leads upwards: %q", s.base())
				}
				_ = s.String()
			}
		}
	})
}

func FuzzRelease(f *testing.F) {
	f.Add("Origin: Debian\nSuite: s\nDate: Sat, 21 Nov 2026 09:15:44 UTC\nSHA256:\n " + strings.Repeat("a", 64) + " 10 main/binary-amd64/Packages\n")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRelease(s)
		if err != nil {
			return
		}
		if n := r.name(Source{Suite: "s"}); strings.Count(n, "/") != 1 {
			t.Fatalf("name %q", n)
		}
	})
}
