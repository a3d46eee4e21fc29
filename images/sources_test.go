package images_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// A push whose source does not give what it had packs it anew, whatever the source says, and says why it had to. If there is
// no tree to pack either, the error is one of the source: the target has done nothing wrong.
func TestPushWithoutItsSource(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(f *fake)
		why   string // of the fallback, HOST is the source
	}{
		"nobody there": {func(f *fake) { f.CloseClientConnections(); f.Close() }, "dial tcp HOST: connect: connection refused"},
		"gone":         {func(f *fake) { f.handle = gone }, "not found: "},
		"refuses": {func(f *fake) {
			f.handle = func(w http.ResponseWriter, r *http.Request) bool {
				return challenge(w, "Basic", "here")
			}
		}, "private or no such image: HOST/app"},
	} {
		t.Run(name, func(t *testing.T) {
			blobs := registrytest.Blobs{}
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": blobs.Image(t, app(1<<16))})
			target := registrytest.Start(t, registrytest.Options{})
			im, st := client(t, images.Options{})
			img, layers, err := pull(t, im, f.ref("v1"))
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range img.Layers {
				if err := st.RemoveBlob(l.Digest); err != nil {
					t.Fatal(err)
				}
			}
			c.spoil(f)
			push := func(to string) (said []string, err error) {
				t.Helper()
				ref, err := images.ParseRef(target.Addr + to)
				if err != nil {
					t.Fatal(err)
				}
				o, err := im.Leaving(t.Context(), img, nil, "image")
				if err != nil {
					t.Fatal(err)
				}
				done, err := im.Push(t.Context(), ref, o, nil, func(s string) { said = append(said, s) })
				if err == nil && (done.Sent != 3 || done.Blobs != 3) {
					t.Errorf("%+v of two layers and a configuration", done)
				}
				return said, err
			}
			why := strings.ReplaceAll(c.why, "HOST", f.host())
			said, err := push("/team/app:v1")
			if err != nil || len(said) != 2 {
				t.Fatalf("%v, said: %q", err, said)
			}
			for _, s := range said {
				if !strings.Contains(s, "its blob ") || !strings.Contains(s, why) || !strings.HasSuffix(s, "it was compressed anew, so its digest is another") || strings.Contains(s, "\n") {
					t.Errorf("said: %q, want one line with %q", s, why)
				}
			}
			again, _ := client(t, images.Options{})
			got, trees, err := pull(t, again, target.Addr+"/team/app:v1")
			if err != nil || got.ConfigDigest != img.ConfigDigest || readLayer(t, trees[1], "data") != noise(1<<16) {
				t.Errorf("%+v, %v", got, err)
			}

			if err := errors.Join(st.RemoveLayer(layers[1].Name)); err != nil {
				t.Fatal(err)
			}
			_, err = push("/team/other:v1")
			if err == nil || !strings.Contains(err.Error(), "layer 2 of 2") || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "nobody answers at "+target.Addr) || !errors.Is(err, store.ErrNotFound) {
				t.Errorf("neither blob nor tree: %v, want %q", err, why)
			}
		})
	}
}

// Only a reference under which an image was pulled is one where its layers are looked for: not the name of what was made
// here, and, for an image that has no name any more, those of the images that share its layers.
func TestWhereLayersAreLookedFor(t *testing.T) {
	blobs := registrytest.Blobs{}
	small, large := app(1<<10), app(1<<10)
	large.Layers = append(large.Layers, registrytest.Layer{Files: []registrytest.File{{Name: "more", Body: "more"}}})
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": blobs.Image(t, small), "v2": blobs.Image(t, large)})
	im, st := client(t, images.Options{})
	img, _, err := pull(t, im, f.ref("v1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := pull(t, im, f.ref("v2")); err != nil {
		t.Fatal(err)
	}
	o, err := im.Leaving(t.Context(), img, nil, "image")
	if err != nil {
		t.Fatal(err)
	}
	// The name of a registry that must not be asked, with an image that has the same layers.
	made, err := im.Keep(t.Context(), images.Ref{Kind: images.Registry, Host: "registry.invalid", Path: "private/name", Tag: "1"}, o, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	forget := func(ref string) {
		t.Helper()
		if err := st.RemoveImage(ref); err != nil {
			t.Fatal(err)
		}
	}
	look := func(what, ref, want string) {
		t.Helper()
		img := *img
		img.Ref = ref
		for _, l := range im.LeavingLayers(t.Context(), &img, "image") {
			if !strings.HasPrefix(l.From, want) || (want == "") != (l.From == "") {
				t.Errorf("%s: %s from %q, want %q", what, l.What, l.From, want)
			}
		}
	}
	look("pulled", img.Ref, img.Ref)
	look("made here", made.Ref, f.host()+"/app:")
	forget(img.Ref)
	look("made here, one that shares its layers is left", made.Ref, f.host()+"/app:v2@")
	look("without a name", "", f.host()+"/app:v2@")
	forget(f.ref("v2"))
	look("nothing that was pulled is left", made.Ref, "")
	look("nor a name", "", "")
}
