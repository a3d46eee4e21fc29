package registrytest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// File is one tar entry of a [Layer]; a name that ends in / is a folder.
type File struct {
	Name, Body, Link string
	Mode             int64 // 0 = 0644, folders 0755
	Type             byte  // 0 = by name
	UID, GID         int
}

// Layer is one layer; Raw, if set, is its blob as it is.
type Layer struct {
	Files       []File
	Compression string // "" = gzip, "zstd", "none"
	Raw         []byte
}

// Image is what [Image.Write] puts into an OCI layout.
type Image struct {
	Layers []Layer
	Config map[string]any // the inner config: Env, Cmd …
	Arch   string         // "" = amd64
}

// Descriptor is how documents point at blobs.
type Descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    map[string]string `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Digest returns the digest of b.
func Digest(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

// Tar returns the layer's uncompressed archive.
func (l Layer) Tar(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range l.Files {
		h := &tar.Header{Name: f.Name, Typeflag: f.Type, Mode: f.Mode, Linkname: f.Link, Uid: f.UID, Gid: f.GID, Size: int64(len(f.Body)), Format: tar.FormatPAX}
		dir := f.Name[len(f.Name)-1] == '/'
		switch {
		case f.Type != 0:
		case dir:
			h.Typeflag = tar.TypeDir
		case f.Link != "":
			h.Typeflag = tar.TypeSymlink
		default:
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if dir {
				h.Mode = 0o755
			}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.Body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Blob returns the layer's compressed bytes, media type and diffID.
func (l Layer) Blob(t testing.TB) (blob []byte, mediaType, diffID string) {
	t.Helper()
	raw := l.Tar(t)
	diffID, mediaType = Digest(raw), "application/vnd.oci.image.layer.v1.tar"
	var buf bytes.Buffer
	switch l.Compression {
	case "none":
		buf.Write(raw)
	case "zstd":
		mediaType += "+zstd"
		w, _ := zstd.NewWriter(&buf)
		w.Write(raw)
		w.Close()
	default:
		mediaType += "+gzip"
		w := gzip.NewWriter(&buf)
		w.Write(raw)
		w.Close()
	}
	if l.Raw != nil {
		return l.Raw, mediaType, diffID
	}
	return buf.Bytes(), mediaType, diffID
}

// Blobs is documents and layers by digest.
type Blobs map[string][]byte

// Put adds b.
func (m Blobs) Put(mediaType string, b []byte) Descriptor {
	d := Digest(b)
	m[d] = b
	return Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

// JSON adds v as a document.
func (m Blobs) JSON(t testing.TB, mediaType string, v any) Descriptor {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return m.Put(mediaType, b)
}

// Image adds an image and returns its manifest's descriptor.
func (m Blobs) Image(t testing.TB, im Image) Descriptor {
	t.Helper()
	arch := im.Arch
	if arch == "" {
		arch = "amd64"
	}
	layers, diffs := []Descriptor{}, []string{}
	for _, l := range im.Layers {
		b, mt, diff := l.Blob(t)
		layers, diffs = append(layers, m.Put(mt, b)), append(diffs, diff)
	}
	config := m.JSON(t, "application/vnd.oci.image.config.v1+json", map[string]any{"architecture": arch, "os": "linux",
		"config": im.Config, "rootfs": map[string]any{"type": "layers", "diff_ids": diffs}})
	const mt = "application/vnd.oci.image.manifest.v1+json"
	d := m.JSON(t, mt, map[string]any{"schemaVersion": 2, "mediaType": mt, "config": config, "layers": layers})
	d.Platform = map[string]string{"os": "linux", "architecture": arch}
	return d
}

// Index adds an index of manifests.
func (m Blobs) Index(t testing.TB, manifests ...Descriptor) Descriptor {
	t.Helper()
	const mt = "application/vnd.oci.image.index.v1+json"
	return m.JSON(t, mt, map[string]any{"schemaVersion": 2, "mediaType": mt, "manifests": manifests})
}

// Layout writes all blobs as an OCI layout whose tags lead to the given descriptors.
func (m Blobs) Layout(t testing.TB, dir string, tags map[string]Descriptor) {
	t.Helper()
	write := func(name string, b []byte) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for d, b := range m {
		write("blobs/sha256/"+d[len("sha256:"):], b)
	}
	index := []Descriptor{}
	for tag, d := range tags {
		d.Annotations = map[string]string{"org.opencontainers.image.ref.name": tag}
		index = append(index, d)
	}
	b, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": index})
	if err != nil {
		t.Fatal(err)
	}
	write("index.json", b)
	write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

// Push copies the layout dir:tag to name ("team/app:v1") with skopeo, digests as they are.
func (r *Registry) Push(t testing.TB, dir, tag, name string) {
	t.Helper()
	args := []string{"copy", "-q", "--all", "--preserve-digests", "--dest-tls-verify=false"}
	if r.auth {
		args = append(args, "--dest-creds", User+":"+Password)
	}
	cmd := exec.Command("skopeo", append(args, "oci:"+dir+":"+tag, "docker://"+r.Addr+"/"+name)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("skopeo: %v: %s", err, out)
	}
}
