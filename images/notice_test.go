package images_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// T-27, T-53, T-56: what is not as the image has it, or was damaged and is made good, is one line each, and an ordinary
// image is none.
func TestNotices(t *testing.T) {
	blobs := registrytest.Blobs{}
	odd := registrytest.Layer{}
	for _, name := range []string{"a", "b", "c"} {
		odd.Files = append(odd.Files, registrytest.File{Name: name, Body: name, UID: 1 << 40})
	}
	odd.Files = append(odd.Files, registrytest.File{Name: "z", Type: 'Z'})
	a := app(1 << 12)
	a.Layers[0].Files = append(a.Layers[0].Files, registrytest.File{Name: "owned", Body: "o", UID: 33, GID: 33}, registrytest.File{Name: "dev", Type: '3'})
	plain, strange := blobs.Image(t, a), blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{odd}})
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"plain": plain, "strange": strange})
	var said []string
	notice := func(s string) { said = append(said, s) }
	st, err := store.Open(t.TempDir(), store.Options{Notice: notice})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	im := images.New(st, images.Options{Notice: notice})
	check := func(when string, want ...string) {
		t.Helper()
		if !slices.Equal(said, want) {
			t.Errorf("%s: said %q, want %q", when, said, want)
		}
		said = nil
	}
	img, layers, err := pull(t, im, f.ref("plain"))
	if err != nil {
		t.Fatal(err)
	}
	check("an ordinary image")
	for range 2 {
		if _, _, err := pull(t, im, f.ref("strange")); err != nil {
			t.Fatal(err)
		}
		if l := "layer " + layerOf(t, blobs, strange, 0).Digest[7:19]; len(said) > 0 {
			check("a strange one", l+": 3 owners that cannot exist are nobody (65534), 1 entry of an unknown kind is left out; -v names the first")
			continue
		}
		check("once more")
	}
	blob := st.Path(store.Blobs, img.Layers[1].Digest.Hex())
	if err := errors.Join(os.Chmod(blob, 0o600), os.Truncate(blob, 5), st.RemoveLayer(layers[1].Name), os.RemoveAll(layers[0].FS+"/etc")); err != nil {
		t.Fatal(err)
	}
	if err := flip(st.Path(store.Blobs, img.ConfigDigest.Hex())); err != nil {
		t.Fatal(err)
	}
	if _, _, err := pull(t, im, f.ref("plain")); err != nil {
		t.Fatal(err)
	}
	slices.Sort(said)
	check("what was damaged", "a blob in the store was damaged, it is fetched again: sha256:"+img.Layers[1].Digest.Hex()[:12]+"…",
		"a damaged document was in the store, it is fetched again: sha256:"+img.ConfigDigest.Hex()[:12]+"…",
		"layer "+layers[0].Name[:12]+" in the store was damaged, it is made again")
}

// T-27: the manifest of a stranger that gives a blob another size takes nothing from the store.
func TestWrongSizesTakeNothingAway(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1<<12))
	lie := strings.Replace(string(blobs[d.Digest]), `"size":`, `"size":1`, -1)
	x := blobs.Put(d.MediaType, []byte(lie))
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d, "lie": x})
	im, st := client(t, images.Options{})
	img, _, err := pull(t, im, f.ref("v1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := pull(t, im, f.ref("lie")); err == nil {
		t.Error("it was believed")
	}
	for _, d := range append([]store.Digest{img.ConfigDigest}, img.Layers[0].Digest, img.Layers[1].Digest) {
		if !st.HasBlob(t.Context(), d, -1) {
			t.Errorf("%s is gone", d)
		}
	}
}
