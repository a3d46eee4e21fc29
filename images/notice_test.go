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

// A stranger's image that shares a blob with others and says something wrong of what is in it fails, and takes the
// blob from nobody.
func TestWrongDiffIDsTakeNothingAway(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1<<12))
	var m struct {
		Config registrytest.Descriptor
		Layers []registrytest.Descriptor
	}
	decode(t, blobs[d.Digest], &m)
	var c struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	decode(t, blobs[m.Config.Digest], &c)
	lie := strings.Replace(string(blobs[m.Config.Digest]), c.RootFS.DiffIDs[1], unknownDiff, 1)
	config := blobs.Put(m.Config.MediaType, []byte(lie))
	x := blobs.JSON(t, d.MediaType, map[string]any{"schemaVersion": 2, "mediaType": d.MediaType, "config": config, "layers": m.Layers})
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d, "lie": x})
	im, st := client(t, images.Options{})
	img, _, err := pull(t, im, f.ref("v1"))
	if err != nil {
		t.Fatal(err)
	}
	f.paths()
	if _, _, err := pull(t, im, f.ref("lie")); err == nil {
		t.Error("it was believed")
	}
	for _, p := range f.paths() {
		if p == "GET blobs/"+m.Layers[1].Digest {
			t.Error("the blob was fetched again, which cannot help")
		}
	}
	if !st.HasBlob(t.Context(), img.Layers[1].Digest, img.Layers[1].Size) {
		t.Error("the blob is gone")
	}
}

// T-66: an image of more layers than anything can stack is refused before one is fetched.
func TestTooManyLayers(t *testing.T) {
	blobs := registrytest.Blobs{}
	l := registrytest.Layer{Files: []registrytest.File{{Name: "a"}}}
	one := blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{l}})
	layer := layerOf(t, blobs, one, 0)
	var m struct{ Config registrytest.Descriptor }
	decode(t, blobs[one.Digest], &m)
	list := slices.Repeat([]registrytest.Descriptor{layer}, 1001)
	x := blobs.JSON(t, one.MediaType, map[string]any{"schemaVersion": 2, "mediaType": one.MediaType, "config": m.Config, "layers": list})
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": x})
	im, _ := client(t, images.Options{})
	if _, err := resolve(t, im, f.ref("v1")); err == nil || !strings.Contains(err.Error(), "1001 layers, more than can be stacked: 1000") {
		t.Errorf("%v", err)
	}
}
