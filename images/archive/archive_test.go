package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images/layer"
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

// T-86: what the names in an archive take counts, those that links lead to as well.
func TestNamesCountAgainstMemory(t *testing.T) {
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("n", 4000)
	for name, kind := range map[string]byte{"files": tar.TypeReg, "symbolic links": tar.TypeSymlink, "hard links": tar.TypeLink} {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for i := range 300 {
			h := &tar.Header{Typeflag: kind, Name: fmt.Sprintf("%d/%s", i, long), Format: tar.FormatGNU}
			if kind != tar.TypeReg {
				h.Linkname = long
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		path := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, memory := range []int64{1 << 20, 8 << 20} {
			a, err := Open(t.Context(), "docker-archive", path, "", Options{Store: st, Limits: layer.Limits{Memory: memory}})
			if a != nil {
				a.Close()
			}
			var le *layer.LimitError
			if refused := errors.As(err, &le) && le.Key == "memory"; refused != (memory < 2<<20) || err != nil && !refused {
				t.Errorf("%s in %d bytes: %v", name, memory, err)
			}
		}
	}
}

// endsSoon is a context that ends after it was asked a few times.
type endsSoon struct {
	context.Context
	left int
}

func (c *endsSoon) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// T-33: the headers that come before an entry end with the context, too.
func TestHeadersWithoutEntryEndWithContext(t *testing.T) {
	var one bytes.Buffer
	if err := tar.NewWriter(&one).WriteHeader(&tar.Header{Name: strings.Repeat("n", 300), Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	name := one.Bytes()[:1024] // the long name alone, without the entry
	path := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(path, append(bytes.Repeat(name, 50), bytes.Repeat([]byte("x"), 1024)...), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(&endsSoon{t.Context(), 10}, "docker-archive", path, "", Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
