package build

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
)

func offlineBuilder(t *testing.T) *Builder {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &Builder{Store: st, Fetch: fetch.New(fetch.Options{}), User: &envfile.UserConfig{}, File: &envfile.File{}, Dir: t.TempDir()}
}

// A mirror on loopback with one release that needs no signature.
func releaseServer(t *testing.T, suite string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/debian/20240101/dists/"+suite+"/Release" {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte("Origin: Debian\nSuite: " + suite + "\nCodename: " + suite + "\nDate: Mon, 01 Jan 2024 00:00:00 UTC\nValid-Until: Tue, 02 Jan 2024 00:00:00 UTC\nSHA256:\n " +
			strings.Repeat("a", 64) + " 1 main/binary-amd64/Packages\n"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestSourcesOfAnOldImage(t *testing.T) {
	url := releaseServer(t, "old")
	b := offlineBuilder(t)
	root := makeTree(t, map[string]string{
		"etc/apt/sources.list":           "deb [trusted=yes] " + url + "/debian old main\ndeb [trusted=yes arch=none] " + url + "/nowhere old main\n",
		"etc/apt/trusted.gpg.d/x.asc":    "->../../../etc/keys",
		"etc/keys":                       "text of a key",
		"usr/share/keyrings/ignored.gpg": "->/nowhere",
	})
	env := &Env{Layers: []Layer{{FS: root}}}
	sources, err := b.imageSources(env)
	if err != nil || len(sources) != 2 || len(sources[0].Keys) != 1 || sources[0].Keys[0] != "text of a key" || sources[0].Keyring != nil {
		t.Fatalf("got %+v, %v", sources, err)
	}
	_, err = b.imageArchives(t.Context(), env)
	if err == nil || !strings.Contains(strings.Join(hint.Of(err), ""), "[debian.Debian] mirror or snapshot") {
		t.Fatalf("a release that is gone: %v, hints %q", err, hint.Of(err))
	}
	b.User.Debian = map[string]envfile.DebianOrigin{"Debian": {Snapshot: url + "/debian/20240101/"}}
	archives, err := b.imageArchives(t.Context(), env)
	if err != nil || len(archives) != 1 || archives[0].Source.URI != url+"/debian/20240101" {
		t.Fatalf("with a snapshot: %+v, %v", archives, err)
	}
}

// A snapshot serves what the mirrors dropped, those of the security archive included.
func TestSnapshotSources(t *testing.T) {
	b := offlineBuilder(t)
	b.User.Debian = map[string]envfile.DebianOrigin{"Debian": {Snapshot: "http://s.invalid/archive/debian/20240101/"}}
	pin := deb.Pin{Name: "a", Version: "1", Arch: "all", Archive: "Debian/trixie-security/main", Path: "pool/updates/a.deb"}
	got := deb.URLs(pin, append([]deb.Source{{URI: "http://m.invalid/debian", Suite: "trixie", Components: []string{"main"}, Origin: "Debian"}}, b.snapshotSources()...))
	want := []string{
		"http://m.invalid/debian/pool/updates/a.deb", "http://s.invalid/archive/debian/20240101/pool/updates/a.deb",
		"http://s.invalid/archive/debian/20240101-security/pool/updates/a.deb", "http://s.invalid/archive/debian-security/20240101/pool/updates/a.deb",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
}

func TestImageWithoutApt(t *testing.T) {
	b := offlineBuilder(t)
	env := &Env{Layers: []Layer{{FS: makeTree(t, map[string]string{"bin/sh": ""})}}}
	if _, err := b.imageArchives(t.Context(), env); err == nil || !strings.Contains(err.Error(), "no apt source") {
		t.Errorf("got %v", err)
	}
	_, err := ResolveApt(t.Context(), ResolveAptInput{Lowers: env.dirs(), Names: []string{"git"}, TempDir: b.Store.TempDir})
	if err == nil || !strings.Contains(err.Error(), "no apt") || len(hint.Of(err)) == 0 {
		t.Errorf("got %v", err)
	}
}
