package images_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/out"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// export writes img to a file as it came, and gives its bytes and what was said meanwhile.
func export(t *testing.T, im *images.Images, img *images.Image, name string) (b []byte, said string) {
	t.Helper()
	o, err := im.Leaving(t.Context(), img, nil, "image")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "out.tar")
	r, err := out.Export(t.Context(), path, name, o, im.OutOptions(func(line string) { said += line + "\n" }))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(path); err != nil || int64(len(b)) != r.Size {
		t.Fatalf("%d bytes, %d were reported: %v", len(b), r.Size, err)
	}
	return b, said
}

// file writes b where an import finds it.
func file(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// mixed is an image whose layers are compressed in every way, one of them twice.
func mixed() registrytest.Image {
	a := app(1 << 16)
	for i, compression := range []string{"zstd", "none"} {
		a.Layers = append(a.Layers, registrytest.Layer{Compression: compression, Files: []registrytest.File{{Name: compression, Body: noise(1000 * (i + 1)), UID: 7}}})
	}
	a.Layers = append(a.Layers, a.Layers[0])
	return a
}

// T-63: what was exported and imported is the same image, which leaves again as the same bytes, also when the file is
// gone, and when its layers were there already as trees without their blobs.
func TestImportRoundTrip(t *testing.T) {
	blobs, dir := registrytest.Blobs{}, t.TempDir()
	d := blobs.Image(t, mixed())
	blobs.Layout(t, dir, map[string]registrytest.Descriptor{"v1": d})
	im, _ := client(t, images.Options{})
	img, _, err := pull(t, im, "oci:"+dir)
	if err != nil {
		t.Fatal(err)
	}
	sent, said := export(t, im, img, "docker.io/team/app:1")
	if said != "" {
		t.Errorf("said at the first export: %s", said)
	}
	trees, withTrees := client(t, images.Options{Dir: dir})
	if _, _, err := pull(t, trees, "oci:"+dir); err != nil {
		t.Fatal(err)
	}
	into := map[string]*images.Images{"an empty store": nil, "the trees are there": images.New(withTrees, images.Options{})}
	into["an empty store"], _ = client(t, images.Options{})
	for name, im := range into {
		for _, how := range []string{"plain", "gzip", "again"} {
			b := sent
			if how == "gzip" {
				b = gzipped(t, sent)
			}
			path := file(t, b)
			got, err := im.Import(t.Context(), images.File{Path: path}, "", "linux/amd64")
			if err != nil {
				t.Fatalf("%s, %s: %v", name, how, err)
			}
			if string(got.Manifest) != d.Digest || got.Ref != "docker.io/team/app:1" || got.ConfigDigest != img.ConfigDigest {
				t.Errorf("%s, %s: %+v", name, how, got)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if again, said := export(t, im, got, "docker.io/team/app:1"); said != "" || !bytes.Equal(again, sent) {
				t.Errorf("%s, %s: another file leaves; said: %s", name, how, said)
			}
		}
	}
}

// An image that was imported is found by its name without anybody being asked, and is what gc is told to keep.
func TestImportedIsThere(t *testing.T) {
	blobs, dir := registrytest.Blobs{}, t.TempDir()
	blobs.Layout(t, dir, map[string]registrytest.Descriptor{"v1": blobs.Image(t, mixed())})
	from, _ := client(t, images.Options{})
	img, _, err := pull(t, from, "oci:"+dir)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := export(t, from, img, "")
	f := newFake(t, blobs, nil)
	im, st := client(t, images.Options{})
	if _, err := im.Import(t.Context(), images.File{Path: file(t, b)}, f.ref("mine"), "linux/amd64"); err != nil {
		t.Fatal(err)
	}
	_, layers, err := pull(t, im, f.ref("mine"))
	if err != nil || len(layers) != 5 || readLayer(t, layers[1], "data") != noise(1<<16) || readLayer(t, layers[3], "none") != noise(2000) {
		t.Errorf("%+v, %v", layers, err)
	}
	if asked := f.paths(); len(asked) > 0 {
		t.Errorf("the registry was asked: %v", asked)
	}
	rec, err := st.Image(f.ref("mine"))
	if err != nil || !rec.Made || rec.Manifest != img.Manifest || len(rec.Layers) != len(img.Layers) {
		t.Fatalf("%+v, %v", rec, err)
	}
	for i, l := range img.Layers {
		if rec.Layers[i] != l.DiffID.Hex() {
			t.Errorf("layer %d in the record is %s", i, rec.Layers[i])
		}
	}
	if damage, err := st.Verify(t.Context(), store.VerifyOptions{Layer: layer.Check(st.TempDir)}); err != nil || len(damage) > 0 {
		t.Errorf("%v, %v", damage, err)
	}
}

// T-63: a file that is damaged, or is none, is refused with its place; no name leads to anything of it, and the good
// one is taken afterwards.
func TestImportRefuses(t *testing.T) {
	blobs, dir := registrytest.Blobs{}, t.TempDir()
	d := blobs.Image(t, app(1<<16))
	l := layerOf(t, blobs, d, 1)
	blobs.Layout(t, dir, map[string]registrytest.Descriptor{"v1": d})
	from, _ := client(t, images.Options{})
	img, _, err := pull(t, from, "oci:"+dir)
	if err != nil {
		t.Fatal(err)
	}
	good, _ := export(t, from, img, "docker.io/team/app:1")
	unnamed, _ := export(t, from, img, "")
	spoil := func(what []byte) []byte { // one bit in the middle of what
		b := bytes.Clone(good)
		at := bytes.Index(b, what)
		if at < 0 {
			t.Fatal("it is not in the file")
		}
		b[at+len(what)/2] ^= 1
		return b
	}
	zipped := gzipped(t, good)
	for name, c := range map[string]struct {
		b          []byte
		call, want string
	}{
		"a layer":                 {spoil(blobs[l.Digest]), "", "layer " + l.Digest[7:19]},
		"the configuration":       {spoil(blobs[string(img.ConfigDigest)]), "", "configuration"},
		"the manifest":            {spoil(blobs[d.Digest]), "", "manifest"},
		"cut in a layer":          {good[:bytes.Index(good, blobs[l.Digest])+1000], "", "damaged"},
		"cut after the layers":    {good[:bytes.Index(good, blobs[d.Digest])-512], "", "neither index.json nor manifest.json"},
		"compressed, cut":         {zipped[:len(zipped)-9], "", "unexpected EOF"},
		"compressed, wrong sum":   {append(bytes.Clone(zipped[:len(zipped)-8]), make([]byte, 8)...), "", "checksum"},
		"text":                    {[]byte(strings.Repeat("this is no archive\n", 100)), "", "not a tar file"},
		"nothing":                 {nil, "", "neither index.json nor manifest.json"},
		"an archive of something": {registrytest.Layer{Files: []registrytest.File{{Name: "a"}}}.Tar(t), "", "neither index.json nor manifest.json"},
		"no name":                 {unnamed, "", "gives its image no name"},
		"a name that is none":     {good, "No Name", "not a name for an image"},
		"a digest as the name":    {good, "team/app@" + d.Digest, "not a name for an image"},
		"a folder as the name":    {good, "oci:here", "not a name for an image"},
	} {
		im, st := client(t, images.Options{})
		path := file(t, c.b)
		_, err := im.Import(t.Context(), images.File{Path: path}, c.call, "linux/amd64")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one with %q and the file", name, err, c.want)
		}
		if recs, err := st.Images(); err != nil || len(recs) > 0 {
			t.Errorf("%s: %v, %v", name, recs, err)
		}
		if left, _ := os.ReadDir(st.Path(store.Temp)); len(left) > 0 {
			t.Errorf("%s: left: %v", name, left)
		}
		if damage, err := st.Verify(t.Context(), store.VerifyOptions{Layer: layer.Check(st.TempDir)}); err != nil || len(damage) > 0 {
			t.Errorf("%s: %v, %v", name, damage, err)
		}
		if got, err := im.Import(t.Context(), images.File{Path: file(t, good)}, "", "linux/amd64"); err != nil || string(got.Manifest) != d.Digest {
			t.Errorf("%s: the good one afterwards: %+v, %v", name, got, err)
		}
	}
	im, _ := client(t, images.Options{})
	if _, err := im.Import(t.Context(), images.File{Path: filepath.Join(dir, "none.tar")}, "", "linux/amd64"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := im.Import(t.Context(), images.File{Path: dir}, "x:1", "linux/amd64"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

// Keep is how commit makes an image: layers of the store and one tree. It is there under its name, stands on the very
// layers below it, and the same again is the same image.
func TestKeep(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1<<16))
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	im, st := client(t, images.Options{})
	img, below, err := pull(t, im, f.ref("v1"))
	if err != nil {
		t.Fatal(err)
	}
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "made"), []byte("here"), 0o640); err != nil {
		t.Fatal(err)
	}
	keep := func(name string) (*images.Image, error) {
		o, err := im.Leaving(t.Context(), img, nil, "base")
		if err != nil {
			t.Fatal(err)
		}
		o.Manifest = nil
		o.Layers = append(o.Layers, out.Layer{Layer: oci.Layer{Size: -1}, Tree: tree, What: "changes", Pack: &layer.PackOptions{}})
		ref, err := images.ParseRef(name)
		if err != nil {
			t.Fatal(err)
		}
		return im.Keep(t.Context(), ref, o, func(line string) { t.Errorf("said: %s", line) })
	}
	made, err := keep(f.ref("made"))
	if err != nil {
		t.Fatal(err)
	}
	f.paths()
	same, layers, err := pull(t, images.New(st, images.Options{Offline: true}), f.ref("made"))
	if err != nil || same.Manifest != made.Manifest || len(layers) != 3 || readLayer(t, layers[2], "made") != "here" {
		t.Fatalf("%+v, %v", layers, err)
	}
	if layers[0].Name != below[0].Name || layers[1].Name != below[1].Name {
		t.Errorf("it stands on %v, not on %v", layers, below)
	}
	if asked := f.paths(); len(asked) > 0 {
		t.Errorf("the registry was asked: %v", asked)
	}
	// The tree of a layer below was collected: it is unpacked again from its blob.
	if err := st.RemoveLayer(below[1].Name); err != nil {
		t.Fatal(err)
	}
	again, err := keep(f.ref("again"))
	if err != nil || again.Manifest != made.Manifest {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if l, ok := st.Layer(t.Context(), below[1].Name); !ok || readLayer(t, l, "data") != noise(1<<16) {
		t.Error("the layer below is not there")
	}
	for _, name := range []string{"oci:here", "team/app@" + d.Digest} {
		if _, err := keep(name); err == nil || !strings.Contains(err.Error(), "not a name for an image") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if recs, err := st.Images(); err != nil || len(recs) != 3 {
		t.Error(fmt.Sprint(recs, err))
	}
}
