package build

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// aptBase is a base in a store, and the archives that it came from.
func aptBase(t *testing.T, suite string) (*store.Store, store.Layer, []*deb.Archive) {
	t.Helper()
	w := lockDebs(t, suite)
	st, err := store.Open(w.Store, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	find := func(p envfile.DebPin) (string, error) { return st.BlobPath(store.Digest("sha256:" + p.SHA256)) }
	base, _, err := st.MakeLayer(context.Background(), strings.Repeat("a", 64), func(dir string) error {
		return AssembleDebBase(context.Background(), DebBaseInput{Debs: w.Base, Path: find, Epoch: testEpoch, Dir: dir})
	})
	if err != nil {
		t.Fatal(err)
	}
	l := &deb.Loader{Get: deb.NewGetter(fetch.New(fetch.Options{AllowHTTP: true}), st, nil)}
	host, err := deb.HostSources("/")
	if err != nil {
		t.Fatal(err)
	}
	archives, err := l.Suite(context.Background(), suite, deb.SuiteOptions{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Indexes(context.Background(), archives, arch()); err != nil {
		t.Fatal(err)
	}
	return st, base, archives
}

func TestResolveApt(t *testing.T) {
	st, base, archives := aptBase(t, "bookworm")
	in := ResolveAptInput{
		Lowers: []string{base.FS}, Archives: archives, Names: []string{"git", "hello"}, TempDir: st.TempDir,
		Blob: func(sum string) (*os.File, error) { return st.OpenBlob(store.Digest("sha256:" + sum)) },
		Log:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	got, err := ResolveApt(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]*deb.Package{}
	for _, p := range got {
		names[p.Name] = p
		if p.Check() != nil || !strings.HasPrefix(p.Archive, "Debian/bookworm") {
			t.Errorf("pin %+v", p.Pin)
		}
	}
	if names["git"] == nil || names["hello"] == nil || names["libcurl3-gnutls"] == nil {
		t.Errorf("chosen: %v", names)
	}
	if names["bash"] != nil || names["less"] != nil || names["patch"] != nil {
		t.Errorf("chosen without need: %v", names)
	}
	in.Recommends = true
	if more, err := ResolveApt(context.Background(), in); err != nil || len(more) <= len(got) {
		t.Errorf("with recommended packages %d instead of %d, %v", len(more), len(got), err)
	}
	in.Recommends = false
	for _, tt := range []struct{ name, want, hint string }{
		{"helo", `no package "helo" in Debian/bookworm`, "hello"},
		{"hello=1:0", "no package hello=1:0; on offer: ", ""},
	} {
		in.Names = []string{tt.name}
		_, err := ResolveApt(context.Background(), in)
		var u *deb.UnknownError
		if !errors.As(err, &u) || !strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(strings.Join(hint.Of(err), ""), tt.hint) {
			t.Errorf("%s: %v, hints %q", tt.name, err, hint.Of(err))
		}
	}
	if _, err := os.Stat(filepath.Join(base.FS, "run/sandbox")); err == nil {
		t.Error("a mount point stayed in the base")
	}
	_ = testenv.Need
}
