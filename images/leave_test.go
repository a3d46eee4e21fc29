package images_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/out"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// gone is a registry that has nothing any more.
func gone(w http.ResponseWriter, r *http.Request) bool {
	http.NotFound(w, r)
	return true
}

// An export that cannot be ended leaves at its place what was there, and nothing beside it.
func TestExportLeavesNothingHalf(t *testing.T) {
	blobs := registrytest.Blobs{}
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": blobs.Image(t, app(1<<16))})
	im, st := client(t, images.Options{})
	img, layers, err := pull(t, im, f.ref("v1"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "app.tar")
	export := func(ctx context.Context, path string) error {
		o, err := im.Leaving(t.Context(), img, nil, "image")
		if err != nil {
			t.Fatal(err)
		}
		_, err = out.Export(ctx, path, "", o, im.OutOptions(func(string) {}))
		return err
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	f.handle = gone
	for name, c := range map[string]struct {
		ctx   context.Context
		path  string
		spoil func() error
		want  string
	}{
		"told to end":                {ended, path, func() error { return nil }, "canceled"},
		"no folder":                  {t.Context(), filepath.Join(dir, "none", "app.tar"), func() error { return nil }, "none/app.tar: no such file or directory"},
		"neither blob nor tree left": {t.Context(), path, func() error { return errors.Join(st.RemoveBlob(img.Layers[1].Digest), st.RemoveLayer(layers[1].Name)) }, "not in the store"},
	} {
		if err := errors.Join(c.spoil(), os.WriteFile(path, []byte("old"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := export(c.ctx, c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("%s: beside it: %v, %v", name, left, err)
		}
	}
}

// A layer whose blob is damaged leaves as it came as long as its source has it; without one it is compressed anew,
// which is said, and holds the same.
func TestExportOfADamagedBlob(t *testing.T) {
	blobs := registrytest.Blobs{}
	a := app(1 << 16)
	d := blobs.Image(t, a)
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	im, st := client(t, images.Options{})
	img, _, err := pull(t, im, f.ref("v1"))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := export(t, im, img, "")
	blob := st.Path(store.Blobs, img.Layers[1].Digest.Hex())
	if err := flip(blob); err != nil {
		t.Fatal(err)
	}
	f.paths()
	if got, said := export(t, im, img, ""); !bytes.Equal(got, want) || said != "" {
		t.Errorf("it is another file, or something was said: %q", said)
	}
	if asked := f.paths(); len(asked) != 1 || asked[0] != "GET blobs/"+string(img.Layers[1].Digest) {
		t.Errorf("asked for %v", asked)
	}
	if err := flip(blob); err != nil {
		t.Fatal(err)
	}
	f.handle = gone
	b, said := export(t, im, img, "docker.io/team/app:1")
	if strings.Count(said, "\n") != 1 || !strings.Contains(said, "layer 2 of 2: its blob "+img.Layers[1].Digest.Hex()[:12]+" is not in the store and could not be fetched again") {
		t.Errorf("said: %q", said)
	}
	other, _ := client(t, images.Options{})
	got, err := other.Import(t.Context(), images.File{Path: file(t, b)}, "", "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range got.Layers {
		if l.DiffID != img.Layers[i].DiffID || (l.Digest == img.Layers[i].Digest) != (i == 0) {
			t.Errorf("layer %d: %+v", i, l)
		}
	}
	if got.ConfigDigest != img.ConfigDigest {
		t.Errorf("the configuration is %s", got.ConfigDigest)
	}
}
