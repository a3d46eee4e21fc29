package deb

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/internal/hint"
)

func TestLoad(t *testing.T) {
	key, other := newKey(t, "archive", 0), newKey(t, "other", 0)
	a := newArchive(t)
	a.publish(testRelease{suite: "test", keys: []*openpgp.Entity{other, key}, packages: testPara("hello", "1.0", "")})
	for _, armored := range []bool{false, true} {
		s := Source{URI: a.url, Suite: "test", Components: []string{"main"}, Keyring: []string{writeKeyring(t, armored, key)}}
		got, err := load(t, newLoader(t), s)
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != "Debian/test" || got.Signer == "" || len(got.indexes) != 1 || len(got.indexes[0].paras) != 1 {
			t.Errorf("got %+v", got)
		}
	}
	for _, p := range a.asked {
		if strings.HasSuffix(p, "Packages.gz") {
			t.Errorf("asked for %s, not by hash", p)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	key := newKey(t, "archive", 0)
	good := testRelease{suite: "test", keys: []*openpgp.Entity{key}, packages: testPara("hello", "1.0", "")}
	tests := []struct {
		name   string
		change func(t *testing.T, a *testArchive, s *Source)
		want   string
		hint   string
	}{
		{"unknown key", func(t *testing.T, a *testArchive, s *Source) {
			s.Keyring = []string{writeKeyring(t, false, newKey(t, "other", 0))}
		}, "is not in the keyring", "update the package"},
		{"no keyring at all", func(t *testing.T, a *testArchive, s *Source) { s.Keyring = nil }, "no keyring at hand", "install the package"},
		{"keyring file missing", func(t *testing.T, a *testArchive, s *Source) { s.Keyring = []string{"/nonexistent.gpg"} }, "nonexistent", "keyring"},
		{"changed text", func(t *testing.T, a *testArchive, s *Source) {
			a.files["dists/test/InRelease"] = bytes.Replace(a.files["dists/test/InRelease"], []byte("Label: Test"), []byte("Label: Evil"), 1)
		}, "signature", ""},
		{"not signed", func(t *testing.T, a *testArchive, s *Source) {
			a.files["dists/test/InRelease"] = []byte("Origin: Debian\n")
		}, "not a clear-signed file", ""},
		{"expired key", func(t *testing.T, a *testArchive, s *Source) {
			old := newKey(t, "elder", time.Hour*23+time.Minute*30)
			r := good
			r.keys = []*openpgp.Entity{old}
			a.publish(r)
			s.Keyring = []string{writeKeyring(t, false, old)}
		}, "(elder <elder@example.invalid>) expired", "update the package that holds the archive's keys"},
		{"expired release", func(t *testing.T, a *testArchive, s *Source) {
			r := good
			r.until = testNow.Add(-time.Minute)
			a.publish(r)
		}, "not valid since", "this one stands still"},
		{"another suite", func(t *testing.T, a *testArchive, s *Source) {
			a.files["dists/test-security/InRelease"] = a.files["dists/test/InRelease"]
			s.Suite = "test-security"
		}, "not what was asked for", ""},
		{"from the future", func(t *testing.T, a *testArchive, s *Source) {
			r := good
			r.date = testNow.Add(48 * time.Hour)
			a.publish(r)
		}, "from the future", "clock"},
		{"no such component", func(t *testing.T, a *testArchive, s *Source) { s.Components = []string{"mian"} }, `no component "mian" for amd64`, ""},
		{"a secret option", func(t *testing.T, a *testArchive, s *Source) { s.Suite = "../../etc" }, "bad suite", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newArchive(t)
			a.publish(good)
			s := Source{URI: a.url, Suite: "test", Components: []string{"main"}, Keyring: []string{writeKeyring(t, false, key)}}
			tt.change(t, a, &s)
			_, err := load(t, newLoader(t), s)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got error %v, want %q", err, tt.want)
			}
			if h := strings.Join(hint.Of(err), "\n"); !strings.Contains(h, tt.hint) {
				t.Errorf("got hint %q, want %q", h, tt.hint)
			}
		})
	}
}

func TestLoadWrongIndex(t *testing.T) {
	key := newKey(t, "archive", 0)
	a := newArchive(t)
	a.publish(testRelease{suite: "test", keys: []*openpgp.Entity{key}, packages: testPara("hello", "1.0", "")})
	for name, b := range a.files {
		if strings.Contains(name, "binary-amd64") {
			c := bytes.Clone(b)
			c[len(c)-1] ^= 1
			a.files[name] = c
		}
	}
	_, err := load(t, newLoader(t), Source{URI: a.url, Suite: "test", Keyring: []string{writeKeyring(t, false, key)}})
	var h *fetch.HashError
	if !errors.As(err, &h) {
		t.Fatalf("got %v", err)
	}
}

// Text before and after the signed part is not part of the Release.
func TestSurroundingTextIsIgnored(t *testing.T) {
	key := newKey(t, "archive", 0)
	a := newArchive(t)
	a.publish(testRelease{suite: "test", keys: []*openpgp.Entity{key}, packages: testPara("hello", "1.0", "")})
	evil := []byte("Origin: Evil\nSuite: evil\n\n")
	a.files["dists/test/InRelease"] = append(append(evil, a.files["dists/test/InRelease"]...), evil...)
	got, err := load(t, newLoader(t), Source{URI: a.url, Suite: "test", Keyring: []string{writeKeyring(t, false, key)}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Origin != "Debian" {
		t.Errorf("origin %q", got.Origin)
	}
}

func TestTrustedAndNoExpiry(t *testing.T) {
	a := newArchive(t)
	a.publish(testRelease{suite: "test", until: testNow.Add(-time.Hour), keys: []*openpgp.Entity{newKey(t, "nobody", 0)}, packages: testPara("hello", "1.0", "")})
	got, err := load(t, newLoader(t), Source{URI: a.url, Suite: "test", Trusted: true, NoExpiry: true})
	if err != nil || got.Signer != "" {
		t.Fatal(got, err)
	}
}

func TestRollbackIsNoted(t *testing.T) {
	key := newKey(t, "archive", 0)
	a := newArchive(t)
	l := newLoader(t)
	newest := map[string]time.Time{}
	l.Seen = func(archive string, date time.Time) time.Time {
		old := newest[archive]
		if date.After(old) {
			newest[archive] = date
		}
		return old
	}
	s := Source{URI: a.url, Suite: "test", Keyring: []string{writeKeyring(t, false, key)}}
	for i, age := range []time.Duration{2, 1, 3} {
		a.publish(testRelease{suite: "test", date: testNow.Add(-age * time.Hour), keys: []*openpgp.Entity{key}, packages: testPara("hello", "1.0", "")})
		got, err := load(t, l, s)
		if err != nil {
			t.Fatal(err)
		}
		if want := i == 2; (len(got.Notes) > 0) != want {
			t.Errorf("release %d: notes %q", i, got.Notes)
		}
	}
}

func TestDetachedSignature(t *testing.T) {
	key := newKey(t, "archive", 0)
	a := newArchive(t)
	a.publish(testRelease{suite: "test", keys: []*openpgp.Entity{key}, packages: testPara("hello", "1.0", "")})
	text, _, err := openInRelease(a.files["dists/test/InRelease"], openpgp.EntityList{key}, testNow)
	if err != nil {
		t.Fatal(err)
	}
	delete(a.files, "dists/test/InRelease")
	var sig bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&sig, key, strings.NewReader(text), nil); err != nil {
		t.Fatal(err)
	}
	a.files["dists/test/Release"], a.files["dists/test/Release.gpg"] = []byte(text), sig.Bytes()
	l := newLoader(t)
	l.Now = time.Now // the signature is of now
	s := Source{URI: a.url, Suite: "test", Keyring: []string{writeKeyring(t, false, key)}}
	if _, err := load(t, l, s); err != nil {
		t.Fatal(err)
	}
	a.files["dists/test/Release"] = []byte(text + "X: y\n")
	if _, err := load(t, l, s); err == nil {
		t.Fatal("a changed Release is believed")
	}
}

func TestSuite(t *testing.T) {
	key := newKey(t, "archive", 0)
	ring := writeKeyring(t, false, key)
	debian, security, foreign := newArchive(t), newArchive(t), newArchive(t)
	foreign.publish(testRelease{suite: "new", origin: "Somebody", keys: []*openpgp.Entity{key}})
	debian.publish(testRelease{suite: "new", keys: []*openpgp.Entity{key}, packages: testPara("hello", "1.0", "")})
	debian.publish(testRelease{suite: "new-updates", keys: []*openpgp.Entity{key}, packages: testPara("hello", "1.1", "")})
	security.publish(testRelease{suite: "new-security", keys: []*openpgp.Entity{key}, packages: testPara("hello", "1.2", "")})
	host := []Source{
		{URI: foreign.url, Suite: "old", Components: []string{"main"}, Keyring: []string{ring}},
		{URI: debian.url, Suite: "old", Components: []string{"main"}, Keyring: []string{ring}},
		{URI: debian.url, Suite: "old-updates", Components: []string{"main"}, Keyring: []string{ring}},
		{URI: security.url, Suite: "old-security", Components: []string{"main"}, Keyring: []string{ring}},
	}
	l := newLoader(t)
	as, err := l.Suite(context.Background(), "new", SuiteOptions{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(archiveNames(as), " "); got != "Debian/new Debian/new-updates Debian/new-security" {
		t.Fatalf("got %s", got)
	}
	if err := l.Indexes(context.Background(), as, "amd64"); err != nil {
		t.Fatal(err)
	}
	pp, err := Closure(as, []string{"hello"}, ClosureOptions{})
	if err != nil || len(pp) != 1 || pp[0].Version != "1.2" || pp[0].Archive != "Debian/new-security/main" {
		t.Fatal(pp, err)
	}
	urls := URLs(pp[0].Pin, []Source{as[0].Source, as[2].Source, host[0]})
	if len(urls) != 3 || !strings.HasPrefix(urls[0], security.url) || !strings.HasPrefix(urls[2], foreign.url) {
		t.Errorf("urls %q", urls)
	}
	if _, err := l.Suite(context.Background(), "nwe", SuiteOptions{Host: host}); err == nil || len(hint.Of(err)) == 0 {
		t.Errorf("unknown suite: %v", err)
	}
	if _, err := l.Suite(context.Background(), "new", SuiteOptions{Mirror: debian.url, Keyring: ring}); err != nil {
		t.Errorf("explicit mirror: %v", err)
	}
}

func TestFetchGone(t *testing.T) {
	key := newKey(t, "archive", 0)
	a := newArchive(t)
	a.publish(testRelease{suite: "test", keys: []*openpgp.Entity{key}, packages: testPara("hello", "1.1", "")})
	content := []byte("not really")
	a.files["pool/other.deb"] = content
	src := []Source{{URI: a.url, Suite: "test", Components: []string{"main"}, Keyring: []string{writeKeyring(t, false, key)}}}
	here := Pin{"other", "1", "all", "Debian/test/main", "pool/other.deb", int64(len(content)), sum(content)}
	gone := Pin{"hello", "1.0", "amd64", "Debian/test/main", "pool/hello_1.0.deb", 10, sum([]byte("hello1.0"))}
	l := newLoader(t)
	if err := l.Fetch(context.Background(), []Pin{here}, src, "amd64", 0, func(i int, f *os.File) error { return f.Close() }); err != nil {
		t.Fatal(err)
	}
	err := l.Fetch(context.Background(), []Pin{here, gone}, src, "amd64", 0, nil)
	var g *GoneError
	if !errors.As(err, &g) || g.Offer != "1.1" {
		t.Fatalf("got %v", err)
	}
	h := strings.Join(hint.Of(err), "\n")
	for _, want := range []string{"lock --upgrade hello", "snapshot"} {
		if !strings.Contains(h, want) {
			t.Errorf("hint %q lacks %q", h, want)
		}
	}
	if want := "package hello: version 1.0 is gone from Debian/test/main; on offer is 1.1"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
