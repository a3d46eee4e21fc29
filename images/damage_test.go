package images_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// flip changes one bit of a file, whatever its mode is.
func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	fi, err := os.Stat(path)
	return errors.Join(err, os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600), os.Chmod(path, fi.Mode()))
}

// T-18: one byte is flipped in each kind of object of a pulled image. Verify names that object and no other, the
// next pull mends it, and what other images use is not fetched again.
func TestDamageIsNamedAndMended(t *testing.T) {
	blobs := registrytest.Blobs{}
	a := app(1 << 16)
	a.Layers[0].Files = append(a.Layers[0].Files, registrytest.File{Name: "link", Link: "etc/name"}, registrytest.File{Name: "owned", Body: "o", UID: 7})
	d, other := blobs.Image(t, a), blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{{Files: []registrytest.File{{Name: "other"}}}}})
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d, "other": other})
	im, st := client(t, images.Options{})
	img, layers, err := pull(t, im, f.ref("v1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := pull(t, im, f.ref("other")); err != nil {
		t.Fatal(err)
	}
	blob := func(d store.Digest) string { return st.Path(store.Blobs, d.Hex()) }
	record, _ := filepath.Glob(st.Path(store.ImageRefs, "*v1.json"))
	for name, c := range map[string]struct {
		path, kind string
		do         func(string) error
	}{
		"manifest":      {blob(img.Manifest), "blob " + img.Manifest.Hex(), flip},
		"configuration": {blob(img.ConfigDigest), "blob " + img.ConfigDigest.Hex(), flip},
		"layer's blob":  {blob(img.Layers[1].Digest), "blob " + img.Layers[1].Digest.Hex(), flip},
		"file":          {layers[1].FS + "/data", "layer " + layers[1].Name, flip},
		"link":          {layers[0].FS + "/link", "layer " + layers[0].Name, func(p string) error { return errors.Join(os.Remove(p), os.Symlink("etc/namd", p)) }},
		"mode":          {layers[0].FS + "/etc/name", "layer " + layers[0].Name, func(p string) error { return os.Chmod(p, 0o645) }},
		"side data":     {layers[0].Dir + "/tar/raw.zst", "layer " + layers[0].Name, flip},
		"owners":        {layers[0].Dir + "/tar/owners.zst", "layer " + layers[0].Name, flip},
		"diffID":        {layers[0].Dir + "/diffid", "layer " + layers[0].Name, func(p string) error { return errors.Join(os.Remove(p), os.Symlink(string(img.Manifest), p)) }},
		"name":          {record[0], "image " + filepath.Base(record[0]), flip},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.do(c.path); err != nil {
				t.Fatal(err)
			}
			o := store.VerifyOptions{Layer: layer.Check(st.TempDir), Remove: true}
			damage, err := st.Verify(context.Background(), o)
			if err != nil || len(damage) != 1 || !strings.HasPrefix(damage[0].String(), c.kind+": ") || !damage[0].Removed {
				t.Fatalf("%v, %v; want %s", damage, err, c.kind)
			}
			f.paths()
			_, again, err := pull(t, images.New(st, images.Options{}), f.ref("v1"))
			if err != nil || readLayer(t, again[1], "data") != noise(1<<16) || readLayer(t, again[0], "link") != "base" {
				t.Fatalf("pulled again: %v", err)
			}
			if got := f.paths(); len(got) > 2 {
				t.Errorf("more was fetched than what was damaged: %v", got)
			}
			if damage, err := st.Verify(context.Background(), o); err != nil || len(damage) > 0 {
				t.Errorf("after the mending: %v, %v", damage, err)
			}
		})
	}
}

// T-18, T-27: what a pull or a resolve looks at is never believed, without any verify before it.
func TestDamageIsNotBelieved(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1<<16))
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	im, st := client(t, images.Options{})
	img, layers, err := pull(t, im, f.ref("v1"))
	if err != nil {
		t.Fatal(err)
	}
	truncate := func(n int64) func(string) error {
		return func(p string) error { return errors.Join(os.Chmod(p, 0o600), os.Truncate(p, n)) }
	}
	for what, do := range map[string]func(string) error{"flipped": flip, "empty": truncate(0), "short": truncate(100), "gone": os.Remove,
		"a fifo": func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o600)) }} {
		for name, digest := range map[string]store.Digest{"manifest": img.Manifest, "configuration": img.ConfigDigest, "layer": img.Layers[1].Digest} {
			if err := do(st.Path(store.Blobs, digest.Hex())); err != nil {
				t.Fatal(err)
			}
			if name == "layer" { // its blob is looked at when the tree is gone
				if err := st.RemoveLayer(layers[1].Name); err != nil {
					t.Fatal(err)
				}
			}
			if _, ok := im.Known(t.Context(), img.Manifest); ok && name != "layer" {
				t.Errorf("%s %s: believed", name, what)
			}
			_, again, err := pull(t, im, f.ref("v1"))
			if err != nil || readLayer(t, again[1], "data") != noise(1<<16) {
				t.Fatalf("%s %s: %v", name, what, err)
			}
			if damage, err := st.Verify(context.Background(), store.VerifyOptions{Layer: layer.Check(st.TempDir)}); err != nil || len(damage) > 0 {
				t.Errorf("%s %s: %v, %v", name, what, damage, err)
			}
		}
	}
}

// T-27: a layer that was emptied or cut short under its final name is not believed, and made again; one that a
// sandbox runs on stays as it is, with an error.
func TestEmptiedLayersAreMadeAgain(t *testing.T) {
	blobs := registrytest.Blobs{}
	a := app(1 << 12)
	a.Layers[1].Files = append(a.Layers[1].Files, registrytest.File{Name: "owned", Body: "o", UID: 7})
	d := blobs.Image(t, a)
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	im, st := client(t, images.Options{})
	_, layers, err := pull(t, im, f.ref("v1"))
	if err != nil {
		t.Fatal(err)
	}
	dir := layers[1].Dir
	empty := func(p string) error { return errors.Join(store.RemoveAll(p), os.Mkdir(p, 0o755)) }
	for name, spoil := range map[string]func() error{
		"empty":            func() error { return empty(dir) },
		"an empty tree":    func() error { return empty(dir + "/fs") },
		"no tree":          func() error { return store.RemoveAll(dir + "/fs") },
		"a file instead":   func() error { return errors.Join(store.RemoveAll(dir), os.WriteFile(dir, nil, 0o644)) },
		"a link instead":   func() error { return errors.Join(store.RemoveAll(dir), os.Symlink("elsewhere", dir)) },
		"a file is gone":   func() error { return os.Remove(dir + "/fs/data") },
		"no side data":     func() error { return os.Remove(dir + "/tar/raw.zst") },
		"short side data":  func() error { return os.Truncate(dir+"/tar/raw.zst", 10) },
		"no owners":        func() error { return os.Remove(dir + "/tar/owners.zst") },
		"nothing recorded": func() error { return os.Remove(dir + "/whole") },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, ok := st.Layer(t.Context(), layers[1].Name); ok {
			t.Errorf("%s: believed", name)
		}
		_, again, err := pull(t, im, f.ref("v1"))
		if err != nil || readLayer(t, again[1], "data") != noise(1<<12) {
			t.Fatalf("%s: %v", name, err)
		}
		if damage, err := st.Verify(t.Context(), store.VerifyOptions{Layer: layer.Check(st.TempDir)}); err != nil || len(damage) > 0 {
			t.Errorf("%s: %v, %v", name, damage, err)
		}
		if left, _ := os.ReadDir(st.Path(store.Temp)); len(left) > 0 {
			t.Errorf("%s: left: %v", name, left)
		}
	}
	release, err := st.Use(layers[1].Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir + "/fs/data"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := pull(t, im, f.ref("v1")); err == nil || !strings.Contains(err.Error(), "damaged and in use") {
		t.Errorf("in use: %v", err)
	}
	release()
	if _, _, err := pull(t, im, f.ref("v1")); err != nil {
		t.Errorf("no longer in use: %v", err)
	}
}
