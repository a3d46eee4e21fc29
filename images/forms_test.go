package images_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

func zstded(t testing.TB, b []byte, o ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, o...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// skippable is a frame of zstd that holds no content, as zstd:chunked keeps its table of contents in.
func skippable(s string) []byte {
	return append([]byte{0x50, 0x2a, 0x4d, 0x18, byte(len(s)), 0, 0, 0}, s...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// T-16, T-17, T-62: every form in which a layer may lie at a registry gives the same tree, whatever its label says;
// what is not whole, or asks for more memory than any layer needs, is refused.
func TestFormsOfBlobs(t *testing.T) {
	good := goodLayer()
	raw := good.Tar(t)
	named := func(b []byte) []byte {
		var buf bytes.Buffer
		w, _ := gzip.NewWriterLevel(&buf, gzip.NoCompression)
		w.Name, w.Comment, w.Extra = "layer.tar", "a comment", []byte("extra")
		w.Write(b)
		w.Close()
		return buf.Bytes()
	}
	// A frame of one raw block of one byte, with a window of 256 MiB and without a size.
	huge := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x90, 0x09, 0x00, 0x00, 'x'}
	cut := zstded(t, raw)
	badCRC := gzipped(t, raw)
	badCRC[len(badCRC)-6] ^= 1
	badSum := zstded(t, raw, zstd.WithEncoderCRC(true))
	badSum[len(badSum)-1] ^= 1
	empty := make([]byte, 1024)
	for name, c := range map[string]struct {
		blob, tar []byte
		ok        bool
	}{
		"zstd":                            {zstded(t, raw), raw, true},
		"zstd in several frames":          {join(zstded(t, raw[:1000]), zstded(t, raw[1000:70000]), zstded(t, nil), zstded(t, raw[70000:])), raw, true},
		"zstd with frames to skip":        {join(skippable("first"), zstded(t, raw[:1000]), skippable("in between"), zstded(t, raw[1000:]), skippable("last")), raw, true},
		"zstd, 8 MiB of window":           {zstded(t, raw, zstd.WithWindowSize(8<<20)), raw, true},
		"gzip that stores, with a header": {named(raw), raw, true},
		"gzip with an empty member":       {join(gzipped(t, raw[:5000]), gzipped(t, nil), named(raw[5000:])), raw, true},
		"an empty layer":                  {gzipped(t, empty), empty, true},
		"an empty layer, plain":           {empty, empty, true},
		"no bytes, compressed":            {gzipped(t, nil), []byte{}, true},
		"zstd of 256 MiB of window":       {huge, []byte("x"), false},
		"zstd without its end":            {cut[:len(cut)-5], raw, false},
		"zstd with a frame cut":           {join(zstded(t, raw[:1000]), cut[:20]), raw, false},
		"zstd, then garbage":              {join(zstded(t, raw), []byte("garbage")), raw, false},
		"zstd with a wrong checksum":      {badSum, raw, false},
		"gzip with a wrong checksum":      {badCRC, raw, false},
		"gzip, then zstd":                 {join(gzipped(t, raw[:5000]), zstded(t, raw[5000:])), raw, false},
		"only a frame to skip":            {skippable("nothing"), raw, false},
	} {
		t.Run(name, func(t *testing.T) {
			blobs := registrytest.Blobs{}
			d := blobsOf(t, blobs, c.blob, registrytest.Digest(c.tar))
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
			im, st := client(t, images.Options{})
			_, layers, err := pull(t, im, f.ref("v1"))
			if (err == nil) != c.ok {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				nothingStays(t, st, layerOf(t, blobs, d, 0), store.Digest(registrytest.Digest(c.tar)))
			} else if bytes.Equal(c.tar, raw) && readLayer(t, layers[0], "data") != noise(300<<10) {
				t.Error("wrong content")
			}
		})
	}
}

// blobsOf is an image of one layer, whose blob and diffID are given.
func blobsOf(t testing.TB, blobs registrytest.Blobs, blob []byte, diffID string) registrytest.Descriptor {
	t.Helper()
	config := blobs.JSON(t, "application/vnd.oci.image.config.v1+json", map[string]any{"architecture": "amd64", "os": "linux",
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{diffID}}})
	const mt = "application/vnd.oci.image.manifest.v1+json"
	return blobs.JSON(t, mt, map[string]any{"schemaVersion": 2, "mediaType": mt, "config": config,
		"layers": []registrytest.Descriptor{blobs.Put("application/vnd.oci.image.layer.v1.tar+gzip", blob)}})
}

const manyVar = "IMAGES_TEST_MANY"

// T-3: 400 layers, four of them large, in less than 64 MiB of memory, resuming switched on. The pull is a
// process of its own: the server's memory is not the pull's.
func TestManyLayersInBoundedMemory(t *testing.T) {
	if ref := os.Getenv(manyVar); ref != "" {
		pullMany(t, ref)
		return
	}
	blobs := registrytest.Blobs{}
	var im registrytest.Image
	for i := range 400 {
		n := 1000
		if i%100 == 50 {
			n = 24 << 20
		}
		l := registrytest.Layer{Files: []registrytest.File{{Name: fmt.Sprintf("f%d", i), Body: noise(n)}, {Name: fmt.Sprintf(".wh.g%d", i)}}}
		if i%2 == 1 {
			l.Compression = "zstd"
		}
		im.Layers = append(im.Layers, l)
	}
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": blobs.Image(t, im)})
	c := exec.Command(os.Args[0], "-test.run=^TestManyLayersInBoundedMemory$", "-test.v")
	c.Env = append(os.Environ(), manyVar+"="+f.ref("v1"))
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, rest, ok := strings.Cut(string(out), "peak ")
	kib, _, _ := strings.Cut(rest, " ")
	if n, err := strconv.Atoi(kib); !ok || err != nil || n > 64<<10 {
		t.Errorf("%d KiB of memory: %s", n, out)
	} else {
		t.Logf("%d KiB", n)
	}
}

func pullMany(t *testing.T, ref string) {
	im, st := client(t, images.Options{})
	img, layers, err := pull(t, im, ref)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:") // before the test takes some itself
	if len(layers) != 400 || readLayer(t, layers[50], "f50") != noise(24<<20) || !st.HasBlob(t.Context(), img.Layers[50].Digest, img.Layers[50].Size) {
		t.Errorf("%d layers", len(layers))
	}
	t.Logf("peak %s KiB", strings.Fields(rest)[0])
}

// streamed is zstd from an encoder that does not know how much will come, so that it asks for its whole window.
func streamed(t testing.TB, b []byte, window int) []byte {
	t.Helper()
	var buf bytes.Buffer
	z, err := zstd.NewWriter(&buf, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{b[:len(b)/2], b[len(b)/2:]} {
		z.Write(part)
		z.Flush()
	}
	z.Close()
	var h zstd.Header
	if err := h.Decode(buf.Bytes()); err != nil || h.WindowSize != uint64(window) {
		t.Fatalf("a window of %d, want %d: %v", h.WindowSize, window, err)
	}
	return buf.Bytes()
}

// T-17, T-86: layers that ask for large windows are unpacked two at a time, so that an image of them stays in bounded
// memory. What begins small may become as large.
func TestWideWindows(t *testing.T) {
	blobs := registrytest.Blobs{}
	var layers []registrytest.Layer
	for i := range 6 {
		l := registrytest.Layer{Files: []registrytest.File{{Name: "f", Body: noise(1<<16 + i)}}}
		l.Raw = streamed(t, l.Tar(t), 64<<20)
		layers = append(layers, l)
	}
	d := blobs.Image(t, registrytest.Image{Layers: layers})
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	im, _ := client(t, images.Options{Jobs: 6})
	if _, got, err := pull(t, im, f.ref("v1")); err != nil || len(got) != 6 {
		t.Errorf("%v", err)
	}
	small := registrytest.Layer{Files: []registrytest.File{{Name: "f", Body: noise(1 << 20)}}}
	raw := small.Tar(t)
	small.Raw = append(zstded(t, raw[:512]), streamed(t, raw[512:], 128<<20)...)
	d = blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{small}})
	f = newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	if _, got, err := pull(t, im, f.ref("v1")); err != nil || readLayer(t, got[0], "f") != noise(1<<20) {
		t.Errorf("a frame of 128 MiB behind a small one: %v", err)
	}
}
