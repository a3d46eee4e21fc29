package images_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// bombCase is an image that asks for much more than it is.
type bombCase struct {
	layer    []byte                                                 // a blob, or
	manifest func(blobs registrytest.Blobs) registrytest.Descriptor // a document
	serve    func(w http.ResponseWriter, r *http.Request) bool
	limits   layer.Limits
	want     string // the error; REF, HOST, LAYER and CONFIG are the image's. "" = it is pulled
	mib      int64  // of memory more than the process has anyway; 0 = 48
}

// gzipZeros is head and then n zeros (a multiple of 64 MiB), in as many members as that takes.
func gzipZeros(t testing.TB, head []byte, n int64) []byte {
	t.Helper()
	const part = 64 << 20
	return append(gzipped(t, head), bytes.Repeat(gzipped(t, make([]byte, part)), int(n/part))...)
}

// tarOf is a layer of n headers, compressed as they are made.
func tarOf(t testing.TB, n int, header func(i int) *tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	z, _ := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	w := tar.NewWriter(z)
	for i := range n {
		if err := w.WriteHeader(header(i)); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	z.Close()
	return buf.Bytes()
}

// bigRecord is a layer with one PAX record of n bytes. No library writes such a thing: it is the header of a
// file, with its type changed after.
func bigRecord(t testing.TB, n int) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	body := fmt.Sprintf("%d comment=", n)
	body += strings.Repeat("c", n-len(body)-1) + "\n"
	if err := w.WriteHeader(&tar.Header{Name: "x", Size: int64(n), Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, body)
	w.Flush()
	h := buf.Bytes()[:512]
	h[156] = 'x'
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return gzipped(t, append(buf.Bytes(), registrytest.Layer{Files: []registrytest.File{{Name: "f"}}}.Tar(t)...))
}

// sparseLayer has one file, of which GNU tar says that it is a hole of n bytes.
func sparseLayer(t testing.TB, n int64) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hole"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "hole"), n); err != nil {
		t.Fatal(err)
	}
	b, err := exec.Command("tar", "-C", dir, "--sparse", "--format=posix", "-c", "hole").Output()
	if err != nil {
		t.Fatal(err)
	}
	return gzipped(t, b)
}

const (
	perByte  = "the layer unpacks to more bytes for each packed one than the limit: 250"
	tooLarge = "the layer unpacks to more than the limit: "
	ten      = 10 << 30

	inLayer    = "pull REF: LAYER: "
	zerosEntry = inLayer + `entry "zeros": `
)

// layerBombs are in what a layer holds.
func layerBombs(t testing.TB) map[string]bombCase {
	good := registrytest.Layer{Files: []registrytest.File{{Name: "f"}}}.Tar(t)
	folder := func(name string) *tar.Header {
		return &tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755, Format: tar.FormatPAX}
	}
	attrs := map[string]string{}
	for i := range 20_000 {
		attrs[fmt.Sprintf("SCHILY.xattr.user.n%d", i)] = "v"
	}
	cases := map[string]bombCase{
		"10 GiB of zeros, gzip":           {layer: gzipZeros(t, header(t, ten), ten), want: zerosEntry + perByte},
		"10 GiB of zeros, zstd":           {layer: squeezed(t, header(t, ten), ten), want: zerosEntry + perByte},
		"10 GiB of zeros after its end":   {layer: gzipZeros(t, good, ten), want: inLayer + perByte},
		"1 TiB of zeros, no ratio counts": {layer: squeezed(t, header(t, 1<<40), 1<<30), limits: layer.Limits{Ratio: 1 << 40, Bytes: 512 << 20}, want: zerosEntry + tooLarge + "512 MiB"},
		"a hole of 1 TiB":                 {layer: sparseLayer(t, 1<<40), want: inLayer + `entry "hole": ` + tooLarge + "512 GiB"},
		"a record of 64 MiB":              {layer: bigRecord(t, 64<<20), want: inLayer + "read the layer: archive/tar: header field too long"},
		"100,000 files and 100,000 folders": {layer: tarOf(t, 200_000, func(i int) *tar.Header {
			if i%2 == 0 {
				return folder(fmt.Sprintf("folder-%d", i/2))
			}
			return &tar.Header{Name: fmt.Sprintf("folder-%d/file", i/2), Typeflag: tar.TypeReg, Mode: 0o644, Uid: i}
		})},
		"more entries than allowed": {layer: tarOf(t, 1001, func(i int) *tar.Header { return folder(fmt.Sprint(i)) }), limits: layer.Limits{Entries: 1000},
			want: inLayer + "the layer has more entries than the limit: 1000"},
		"2,000 folders in each other": {layer: tarOf(t, 2000, func(i int) *tar.Header { return folder(strings.TrimSuffix(strings.Repeat("d/", i+1), "/")) })},
		"2,100 folders in each other": {layer: tarOf(t, 2100, func(i int) *tar.Header { return folder(strings.TrimSuffix(strings.Repeat("d/", i+1), "/")) }),
			want: inLayer + `entry "` + strings.Repeat("d/", 100) + `…": the layer has a name of more bytes than the limit: 4095`},
		"20,000 attributes of one file": {layer: tarOf(t, 1, func(int) *tar.Header {
			return &tar.Header{Name: "f", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX, PAXRecords: attrs}
		})},
	}
	if os.Getenv("SANDBOX_TEST_ALL") != "" {
		cases["1,000,000 files"] = bombCase{layer: tarOf(t, 1_000_000, func(i int) *tar.Header {
			return &tar.Header{Name: fmt.Sprintf("%d/file%d", i/1000, i), Typeflag: tar.TypeReg, Mode: 0o644, Uid: i % 1000}
		})}
	}
	return cases
}

// many writes a document of n entries, however large, without a length.
func many(w http.ResponseWriter, begin, entry string, n int) {
	w.Header().Set("Content-Type", oci.TypeIndex)
	http.NewResponseController(w).Flush()
	io.WriteString(w, begin)
	part := []byte(strings.Repeat(entry, 1000))
	for range n / 1000 {
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}

// documentBombs are in what describes an image.
func documentBombs(t testing.TB) map[string]bombCase {
	entry := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1,"platform":{"os":"linux","architecture":"s390x"}},`, oci.TypeManifest, unknownDiff)
	index := func(begin string, n int) func(registrytest.Blobs) registrytest.Descriptor {
		return func(blobs registrytest.Blobs) registrytest.Descriptor {
			return blobs.Put(oci.TypeIndex, []byte(begin+strings.TrimSuffix(strings.Repeat(entry, n), ",")+"]}"))
		}
	}
	served := func(part string, f func(w http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, part) {
				return false
			}
			f(w)
			return true
		}
	}
	labels := func(n int) []byte {
		var b bytes.Buffer
		b.WriteString(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{"Labels":{"a":"b"`)
		for i := 0; b.Len() < n-64; i++ {
			fmt.Fprintf(&b, `,"%d":""`, i)
		}
		b.WriteString("}}}")
		return append(b.Bytes(), bytes.Repeat([]byte(" "), n-b.Len())...)
	}
	config := func(n int) func(registrytest.Blobs) registrytest.Descriptor {
		return func(blobs registrytest.Blobs) registrytest.Descriptor { return configured(t, blobs, string(labels(n))) }
	}
	const begin = `{"schemaVersion":2,"manifests":[`
	return map[string]bombCase{
		"an index of a million entries": {manifest: index(begin, 1), serve: served("/manifests/", func(w http.ResponseWriter) { many(w, begin, entry, 1_000_000) }),
			want: "fetch http://HOST/v2/app/manifests/v1: wrong size: more than 4194304 bytes"},
		"a manifest of a million layers": {manifest: index(begin, 1), serve: served("/manifests/", func(w http.ResponseWriter) { many(w, `{"schemaVersion":2,"layers":[`, entry, 1_000_000) }),
			want: "fetch http://HOST/v2/app/manifests/v1: wrong size: more than 4194304 bytes"},
		"an index as large as it may be": {manifest: index(begin, (oci.MaxManifest-100)/len(entry)), want: "REF: no image for linux/amd64, only for: linux/s390x"},
		"a manifest of depth": {manifest: func(blobs registrytest.Blobs) registrytest.Descriptor {
			return blobs.Put(oci.TypeManifest, []byte(strings.Repeat(`{"a":`, oci.MaxManifest/5)))
		}, want: "REF: manifest: nested deeper than 64"},
		"a configuration larger than it may be": {manifest: config(oci.MaxConfig + 1), want: "CONFIG has 8388609 bytes, more than the limit of 8388608"},
		"a configuration as large as it may be": {manifest: config(oci.MaxConfig), mib: 160},
		"a configuration without end": {manifest: config(1000), serve: served("/blobs/", func(w http.ResponseWriter) { many(w, "{", " ", 100_000_000) }),
			want: "fetch http://HOST/v2/app/blobs/CONFIG: wrong size: more than 1000 bytes"},
	}
}

// T-86: whatever an image asks for, it is pulled or refused with its reason in bounded memory, and nothing of what
// is refused stays on the disk.
func TestBombs(t *testing.T) {
	if os.Getenv(apartVar) != "" {
		pullOnce(t)
		return
	}
	bare := pullApart(t, apart{Bare: true}).Peak
	for _, cases := range []map[string]bombCase{layerBombs(t), documentBombs(t)} {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				blobs := registrytest.Blobs{}
				var d registrytest.Descriptor
				if c.manifest != nil {
					d = c.manifest(blobs)
				} else {
					d = blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{{Raw: c.layer}}})
					if c.want == "" {
						d = blobsOf(t, blobs, c.layer, registrytest.Digest(inflated(t, c.layer)))
					}
				}
				f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
				f.handle = c.serve
				got := pullApart(t, apart{Ref: f.ref("v1"), Limits: c.limits})
				names := []string{"REF", f.ref("v1"), "HOST", f.host()}
				if c.layer != nil {
					names = append(names, "LAYER", "layer "+layerOf(t, blobs, d, 0).Digest[7:19])
				} else if d.MediaType == oci.TypeManifest && len(blobs) > 1 {
					names = append(names, "CONFIG", configOf(t, blobs, d))
				}
				want := strings.NewReplacer(names...).Replace(c.want)
				if got.Said != want {
					t.Errorf("got %q, want %q", got.Said, want)
				}
				if c.mib == 0 {
					c.mib = 48
				}
				t.Logf("%d MiB of memory beyond %d, %d KiB of disk", (got.Peak-bare)>>10, bare>>10, got.Disk>>10)
				if got.Peak-bare > c.mib<<10 {
					t.Errorf("%d MiB of memory, want at most %d", (got.Peak-bare)>>10, c.mib)
				}
				if got.Left > 1<<16 || c.want != "" && c.layer != nil && got.Disk > 1<<20 {
					t.Errorf("on the disk: %d bytes, %d of them of nothing", got.Disk, got.Left)
				}
			})
		}
	}
}

func configOf(t testing.TB, blobs registrytest.Blobs, manifest registrytest.Descriptor) string {
	t.Helper()
	var m struct{ Config registrytest.Descriptor }
	decode(t, blobs[manifest.Digest], &m)
	return m.Config.Digest
}

func inflated(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
