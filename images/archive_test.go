package images_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

func skopeo(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("skopeo", "copy", "-q", from, to).CombinedOutput(); err != nil {
		t.Fatalf("skopeo copy %s %s: %v: %s", from, to, err, out)
	}
}

func TestArchives(t *testing.T) {
	dir := t.TempDir()
	blobs := registrytest.Blobs{}
	a := app(1 << 20)
	a.Layers = append(a.Layers, a.Layers[0])
	d := blobs.Image(t, a)
	blobs.Layout(t, filepath.Join(dir, "layout"), map[string]registrytest.Descriptor{"v1": d})
	skopeo(t, "oci:"+dir+"/layout:v1", "oci-archive:"+dir+"/oci.tar")
	skopeo(t, "oci:"+dir+"/layout:v1", "docker-archive:"+dir+"/docker.tar:app:v1")
	b, err := os.ReadFile(filepath.Join(dir, "docker.tar"))
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "docker.tar.gz"), gzipped(t, b), 0o644)
	for _, ref := range []string{"oci:layout", "oci:layout:v1", "oci-archive:oci.tar", "docker-archive:docker.tar", "docker-archive:docker.tar.gz"} {
		t.Run(ref, func(t *testing.T) {
			im, st := client(t, images.Options{Dir: dir})
			img, layers, err := pull(t, im, ref)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(ref, "oci") && string(img.Manifest) != d.Digest {
				t.Errorf("manifest %s", img.Manifest)
			}
			if len(layers) != 3 || readLayer(t, layers[1], "data") != noise(1<<20) || img.Config.User != "1000" {
				t.Errorf("%+v", img)
			}
			for _, l := range img.Layers {
				if st.HasBlob(t.Context(), l.Digest, -1) {
					t.Error("a layer was copied to the blob store")
				}
			}
			if known, ok := im.Known(t.Context(), img.Manifest); !ok || len(known.Layers) != 3 {
				t.Error("not known afterwards")
			}
			if _, _, err := pull(t, im, ref); err != nil {
				t.Errorf("again: %v", err)
			}
			if left, _ := os.ReadDir(st.Path(store.Temp)); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	im, _ := client(t, images.Options{Dir: dir})
	for _, ref := range []string{"oci:layout:v2", "oci:nothing", "oci-archive:docker.tar", "docker-archive:oci.tar", "oci:.", "docker-archive:layout", "dir:oci.tar", "oci-archive:layout/index.json"} {
		if _, _, err := pull(t, im, ref); err == nil {
			t.Errorf("%s: accepted", ref)
		}
	}
}

func TestLayoutTags(t *testing.T) {
	dir := t.TempDir()
	blobs := registrytest.Blobs{}
	one, two := blobs.Image(t, app(1)), blobs.Image(t, app(2))
	blobs.Layout(t, dir, map[string]registrytest.Descriptor{"one": one, "two": two})
	im, _ := client(t, images.Options{})
	if _, err := resolve(t, im, "oci:"+dir); err == nil || !strings.Contains(err.Error(), "one, two") {
		t.Errorf("got %v", err)
	}
	if img, err := resolve(t, im, "oci:"+dir+":two"); err != nil || string(img.Manifest) != two.Digest {
		t.Errorf("got %v %v", img, err)
	}
}

func TestHostileLayouts(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1000))
	l := layerOf(t, blobs, d, 1)
	layer := func(dir string) string { return filepath.Join(dir, "blobs/sha256", l.Digest[7:]) }
	manifest := func(dir string) string { return filepath.Join(dir, "blobs/sha256", d.Digest[7:]) }
	cases := map[string]func(dir string) error{
		"missing layer":    func(dir string) error { return os.Remove(layer(dir)) },
		"changed layer":    func(dir string) error { return os.WriteFile(layer(dir), blobs[d.Digest], 0o644) },
		"short layer":      func(dir string) error { return os.Truncate(layer(dir), 100) },
		"changed manifest": func(dir string) error { return os.WriteFile(manifest(dir), append(blobs[d.Digest], ' '), 0o644) },
		"link": func(dir string) error {
			outside := filepath.Join(dir, "..", "outside")
			return errors.Join(os.Rename(layer(dir), outside), os.Symlink(outside, layer(dir)))
		},
		"fifo":   func(dir string) error { return errors.Join(os.Remove(layer(dir)), syscall.Mkfifo(layer(dir), 0o644)) },
		"folder": func(dir string) error { return errors.Join(os.Remove(layer(dir)), os.Mkdir(layer(dir), 0o755)) },
		"fifo as index": func(dir string) error {
			p := filepath.Join(dir, "index.json")
			return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o644))
		},
		"large index": func(dir string) error { return os.Truncate(filepath.Join(dir, "index.json"), 1<<30) },
		"blobs folder elsewhere": func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, "blobs"), filepath.Join(dir, "..", "b")), os.Symlink("../b", filepath.Join(dir, "blobs")))
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "layout")
			blobs.Layout(t, dir, map[string]registrytest.Descriptor{"v1": d})
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			im, st := client(t, images.Options{})
			img, _, err := pull(t, im, "oci:"+dir)
			if err == nil {
				t.Fatal("accepted")
			}
			if img != nil {
				if _, ok := st.Layer(t.Context(), img.Layers[1].DiffID.Hex()); ok {
					t.Error("the layer is there")
				}
			}
		})
	}
}

// TestDockerSaveOfOldVersions: layers are VERSION/layer.tar, a repeated one is a link.
func TestDockerSaveOfOldVersions(t *testing.T) {
	l := registrytest.Layer{Files: []registrytest.File{{Name: "data", Body: "x"}}, Compression: "none"}
	raw, _, diff := l.Blob(t)
	config, _ := json.Marshal(map[string]any{"architecture": "amd64", "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{diff, diff}}})
	write := func(entries ...registrytest.File) string {
		path := filepath.Join(t.TempDir(), "save.tar")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.Write(registrytest.Layer{Files: entries}.Tar(t))
		return path
	}
	manifest := registrytest.File{Name: "manifest.json", Body: `[{"Config":"c.json","RepoTags":["a:1"],"Layers":["1/layer.tar","2/layer.tar"]}]`}
	c, first := registrytest.File{Name: "c.json", Body: string(config)}, registrytest.File{Name: "1/layer.tar", Body: string(raw)}
	im, _ := client(t, images.Options{})
	_, layers, err := pull(t, im, "docker-archive:"+write(manifest, c, first, registrytest.File{Name: "2/layer.tar", Link: "../1/layer.tar"}))
	if err != nil || len(layers) != 2 || readLayer(t, layers[1], "data") != "x" {
		t.Errorf("%v %v", layers, err)
	}
	im, _ = client(t, images.Options{})
	for name, second := range map[string]registrytest.File{
		"loop":    {Name: "2/layer.tar", Link: "layer.tar"},
		"outside": {Name: "2/layer.tar", Link: "/etc/passwd"},
		"missing": {Name: "3/layer.tar", Body: "x"},
	} {
		if _, _, err := pull(t, im, "docker-archive:"+write(manifest, c, first, second)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	two := registrytest.File{Name: "manifest.json", Body: `[{"Config":"1","RepoTags":["a:1"]},{"Config":"2","RepoTags":["b:1"]}]`}
	if _, _, err := pull(t, im, "docker-archive:"+write(two)); err == nil || !strings.Contains(err.Error(), "a:1, b:1") {
		t.Errorf("two images: %v", err)
	}
}

func TestDir(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	os.MkdirAll(filepath.Join(root, "bin"), 0o755)
	os.WriteFile(filepath.Join(root, "bin/tool"), []byte("#!/bin/sh\n"), 0o755)
	os.Symlink("bin/tool", filepath.Join(root, "link"))
	im, _ := client(t, images.Options{Dir: dir})
	img, layers, err := pull(t, im, "dir:root")
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 1 || layers[0].DiffID != img.Layers[0].DiffID || readLayer(t, layers[0], "link") != "#!/bin/sh\n" {
		t.Errorf("%+v", layers)
	}
	// The same files elsewhere, of another age, are the same image.
	other := filepath.Join(t.TempDir(), "x")
	if out, err := exec.Command("cp", "-r", "--no-dereference", root, other).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	again, err := resolve(t, im, "dir:"+other)
	if err != nil || again.Manifest != img.Manifest {
		t.Errorf("%v: %v and %v", err, again, img)
	}
	// A folder that changed after it was resolved is not what was asked for.
	os.WriteFile(filepath.Join(root, "bin/tool"), []byte("changed"), 0o755)
	im, _ = client(t, images.Options{Dir: dir})
	var hash *fetch.HashError
	var size *fetch.SizeError
	if _, err := im.Pull(t.Context(), img); !errors.As(err, &hash) && !errors.As(err, &size) {
		t.Errorf("changed: %v", err)
	}
}
