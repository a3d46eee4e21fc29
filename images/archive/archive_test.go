package archive

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// FuzzArchive reads any bytes as both kinds of archives: an error or an image, and nothing that does
// not end.
func FuzzArchive(f *testing.F) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(f, registrytest.Image{Layers: []registrytest.Layer{{Files: []registrytest.File{{Name: "a", Body: "b"}}}}})
	dir := f.TempDir()
	blobs.Layout(f, dir, map[string]registrytest.Descriptor{"v1": d})
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		f.Fatal(err)
	}
	w.Close()
	f.Add(buf.Bytes())
	f.Add(registrytest.Layer{Files: []registrytest.File{
		{Name: "manifest.json", Body: `[{"Config":"c","Layers":["a/layer.tar"]}]`},
		{Name: "c", Body: `{"os":"linux","rootfs":{"type":"layers","diff_ids":["` + d.Digest + `"]}}`},
		{Name: "a/layer.tar", Link: "../b"}, {Name: "b", Body: "x"}}}.Tar(f))
	st, err := store.Open(f.TempDir(), store.Options{})
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(f.TempDir(), "x.tar")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"oci-archive", "docker-archive"} {
			a, err := Open(t.Context(), kind, path, "", Options{Store: st})
			if err != nil {
				continue
			}
			if first, err := a.First(t.Context(), "linux/amd64"); err == nil {
				img, err := oci.Resolve(t.Context(), first, "linux/amd64", a.Get)
				for i := 0; err == nil && i < len(img.Layers); i++ {
					if body, err := a.Layer(t.Context(), img.Layers[i], 0); err == nil {
						io.Copy(io.Discard, body)
						body.Close()
					}
				}
			}
			a.Close()
		}
	})
}
