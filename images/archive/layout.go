package archive

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"

	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/store"
)

// layout is an OCI layout: index.json and blobs/sha256.
type layout struct {
	files files
	tag   string
	full  func(string) string
}

// The annotations by which tools name the images of a layout.
const (
	refAnnotation  = "org.opencontainers.image.ref.name"
	nameAnnotation = "io.containerd.image.name"
)

// First is the document that the tag names, or the layout's own index where it holds one image for
// several platforms without a tag.
func (a *layout) First(ctx context.Context, platform string) (oci.First, error) {
	b, err := readAll(a.files, "index.json", oci.MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return oci.First{}, errors.New("not an OCI layout: it has no index.json")
	}
	if err != nil {
		return oci.First{}, err
	}
	var v struct {
		ImageLayoutVersion string `json:"imageLayoutVersion"`
	}
	mark, err := readAll(a.files, "oci-layout", 1<<10)
	if err != nil || json.Unmarshal(mark, &v) != nil || !strings.HasPrefix(v.ImageLayoutVersion, "1.") {
		return oci.First{}, errors.New("not an OCI layout: it has no oci-layout file of version 1")
	}
	doc, err := oci.ParseDocument(b, oci.TypeIndex)
	if err != nil {
		return oci.First{}, err
	}
	i, err := choose("layout", layoutEntries(doc.Manifests), a.tag, a.full)
	if err != nil {
		return oci.First{}, err
	}
	d := doc.Manifests[i]
	if b, err = a.Get(ctx, d, oci.MaxManifest); err != nil {
		return oci.First{}, err
	}
	return oci.First{Bytes: b, Digest: d.Digest, MediaType: d.MediaType}, nil
}

func blobName(d store.Digest) string { return "blobs/sha256/" + d.Hex() }

// Get reads a document.
func (a *layout) Get(_ context.Context, d oci.Descriptor, max int64) ([]byte, error) {
	b, err := readAll(a.files, blobName(d.Digest), max)
	if err != nil {
		return nil, err
	}
	return b, verify(b, d)
}

// Layer opens a layer.
func (a *layout) Layer(_ context.Context, l oci.Layer, offset int64) (*Body, error) {
	return body(a.files, blobName(l.Digest), offset)
}

// Packed is n, or less in a compressed file.
func (a *layout) Packed(n int64) int64 { return a.files.packed(n) }

// Close closes the files.
func (a *layout) Close() error { return a.files.Close() }
