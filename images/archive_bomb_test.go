package images_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// squeezed is zstd of head and then of n zeros (a multiple of 64 MiB), made in a moment however many.
func squeezed(t testing.TB, head []byte, n int64) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	const part = 64 << 20
	out := z.EncodeAll(head, nil)
	return append(out, bytes.Repeat(z.EncodeAll(make([]byte, part), nil), int(n/part))...)
}

// saved is the beginning of what `docker save` writes, up to where the contents of its one layer, of n
// bytes, begin. diff is what the configuration says of the layer.
func saved(t testing.TB, diff string, n int64) []byte {
	t.Helper()
	config, _ := json.Marshal(map[string]any{"architecture": "amd64", "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{diff}}})
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range []registrytest.File{{Name: "manifest.json", Body: `[{"Config":"c.json","RepoTags":["a:1"],"Layers":["layer.tar"]}]`}, {Name: "c.json", Body: string(config)}} {
		if err := w.WriteHeader(&tar.Header{Name: f.Name, Mode: 0o644, Size: int64(len(f.Body)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(f.Body))
	}
	if err := w.WriteHeader(&tar.Header{Name: "layer.tar", Mode: 0o644, Size: n, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// header is that of one file of n bytes in a layer.
func header(t testing.TB, n int64) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&tar.Header{Name: "zeros", Mode: 0o644, Size: n, Typeflag: tar.TypeReg, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const unknownDiff = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// T-86: the limits of layers also hold for the compression of an archive as a whole, and nothing of one
// that is refused stays.
func TestArchiveBombs(t *testing.T) {
	const n = 1088 << 20
	tmp := func(st *store.Store) int64 { return store.Size(st.Path(store.Temp)) }
	refused := func(name, key, ref string, l layer.Limits) {
		t.Helper()
		im, st := client(t, images.Options{Limits: l})
		_, _, err := pull(t, im, ref)
		var le *layer.LimitError
		if !errors.As(err, &le) || le.Key != key || len(hint.Of(err)) != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if left := tmp(st); left > 1<<16 {
			t.Errorf("%s: %d bytes are left", name, left)
		}
	}
	whole := "docker-archive:" + write(t, "save.tar.zst", squeezed(t, saved(t, unknownDiff, n), n))
	refused("a plain layer in a compressed archive", "ratio", whole, layer.Limits{})
	refused("a large archive", "size", whole, layer.Limits{Bytes: 128 << 20})

	// A layer that is within the limit by itself, packed once more: both count together.
	blob := squeezed(t, header(t, n), n)
	own := int64(n / len(blob))
	raw := append(append(saved(t, unknownDiff, int64(len(blob))), blob...), make([]byte, 1024+512-len(blob)%512)...)
	z, _ := zstd.NewWriter(nil)
	once, twice := write(t, "once.tar", raw), write(t, "twice.tar.zst", z.EncodeAll(raw, nil))
	limit := layer.Limits{Ratio: 2 * own}
	refused("packed twice", "ratio", "docker-archive:"+twice, limit)
	im, _ := client(t, images.Options{Limits: limit})
	var le *layer.LimitError
	if _, _, err := pull(t, im, "docker-archive:"+once); err == nil || errors.As(err, &le) {
		t.Errorf("packed once, which is within the limit, and of another digest: %v", err)
	}
}

// T-33: a pull from a file of this machine ends at once, too, whatever it reads at the moment.
func TestReadingFilesEndsWhenTold(t *testing.T) {
	const huge = 1 << 40
	no := layer.Limits{Bytes: math.MaxInt64, Ratio: math.MaxInt64}
	folder := t.TempDir()
	if err := os.WriteFile(folder+"/sparse", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(folder+"/sparse", huge); err != nil {
		t.Fatal(err)
	}
	layout := t.TempDir()
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{{Raw: squeezed(t, header(t, huge), huge/16)}}})
	blobs.Layout(t, layout, map[string]registrytest.Descriptor{"v1": d})
	for name, ref := range map[string]string{
		"compressed archive": "docker-archive:" + write(t, "save.tar.zst", squeezed(t, saved(t, unknownDiff, huge), huge/16)),
		"folder":             "dir:" + folder,
		"layer of a layout":  "oci:" + layout,
	} {
		t.Run(name, func(t *testing.T) {
			im, st := client(t, images.Options{Limits: no})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			time.AfterFunc(300*time.Millisecond, cancel)
			endsWhenTold(t, func() error {
				img, err := im.Resolve(ctx, mustRef(t, ref), "linux/amd64")
				if err == nil {
					_, err = im.Pull(ctx, img)
				}
				return err
			})
			if left, _ := os.ReadDir(st.Path(store.Temp)); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	t.Run("a blob of the store", func(t *testing.T) {
		im, st := client(t, images.Options{Limits: no})
		f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
		img, err := resolve(t, im, f.ref("v1"))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := st.PutBlob(t.Context(), bytes.NewReader(blobs[string(img.Layers[0].Digest)]), img.Layers[0].Digest); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		time.AfterFunc(300*time.Millisecond, cancel)
		endsWhenTold(t, func() error { _, err := im.Pull(ctx, img); return err })
	})
}
