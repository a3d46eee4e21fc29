package archive

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/store"
)

// dockerArchive is what `docker save` writes: manifest.json, one configuration and the layers as tars.
type dockerArchive struct {
	files files
	name  string // of one of its images
	full  func(string) string

	once   sync.Once
	first  oci.First
	err    error
	docs   documents
	layers map[store.Digest]string // name in the archive
}

// documents are made here, in the form of OCI, for sources that have none.
type documents map[store.Digest][]byte

func (m documents) put(mediaType string, b []byte) oci.Descriptor {
	d := store.DigestOf(b)
	m[d] = b
	return oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

// manifest adds a manifest over config and layers.
func (m documents) manifest(config []byte, layers []oci.Descriptor) (oci.First, error) {
	type descriptor struct {
		MediaType string       `json:"mediaType"`
		Digest    store.Digest `json:"digest"`
		Size      int64        `json:"size"`
	}
	plain := func(d oci.Descriptor) descriptor { return descriptor{d.MediaType, d.Digest, d.Size} }
	list := []descriptor{}
	for _, l := range layers {
		list = append(list, plain(l))
	}
	b, err := json.Marshal(struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}{2, oci.TypeManifest, plain(m.put(oci.TypeConfig, config)), list})
	if err != nil {
		return oci.First{}, err
	}
	d := m.put(oci.TypeManifest, b)
	return oci.First{Bytes: b, Digest: d.Digest, MediaType: oci.TypeManifest}, nil
}

// Get returns a document that First made.
func (m documents) Get(_ context.Context, d oci.Descriptor, _ int64) ([]byte, error) {
	if b := m[d.Digest]; b != nil {
		return b, nil
	}
	return nil, store.ErrNotFound
}

// First reads manifest.json and makes the OCI manifest for it.
func (a *dockerArchive) First(ctx context.Context, _ string) (oci.First, error) {
	a.once.Do(func() { a.first, a.err = a.read(ctx) })
	return a.first, a.err
}

func (a *dockerArchive) read(ctx context.Context) (oci.First, error) {
	list, err := dockerImages(a.files)
	if errors.Is(err, fs.ErrNotExist) {
		return oci.First{}, errors.New("not an archive of `docker save`: it has no manifest.json")
	}
	if err != nil {
		return oci.First{}, err
	}
	at, err := choose("archive", dockerEntries(list), a.name, a.full)
	if err != nil {
		return oci.First{}, err
	}
	im := list[at]
	config, err := readAll(a.files, im.Config, oci.MaxConfig)
	if err != nil {
		return oci.First{}, fmt.Errorf("configuration: %w", err)
	}
	_, diffs, err := oci.ParseConfig(config)
	if err != nil {
		return oci.First{}, err
	}
	if len(diffs) != len(im.Layers) {
		return oci.First{}, fmt.Errorf("broken image: manifest.json has %d layers, the configuration %d", len(im.Layers), len(diffs))
	}
	a.docs, a.layers = documents{}, map[store.Digest]string{}
	var layers []oci.Descriptor
	for i, name := range im.Layers {
		d, err := a.layer(ctx, name, diffs[i])
		if err != nil {
			return oci.First{}, fmt.Errorf("layer %s: %w", name, err)
		}
		a.layers[d.Digest] = name
		layers = append(layers, d)
	}
	return a.docs.manifest(config, layers)
}

// layer describes a layer. A plain tar is its own diffID, which whoever unpacks it verifies; a
// compressed one is read for its digest.
func (a *dockerArchive) layer(ctx context.Context, name string, diff store.Digest) (oci.Descriptor, error) {
	f, err := a.files.open(name)
	if err != nil {
		return oci.Descriptor{}, err
	}
	defer f.close()
	d := oci.Descriptor{MediaType: oci.TypeLayer, Digest: diff, Size: f.Size()}
	magic := make([]byte, 4)
	n, _ := f.ReadAt(magic, 0)
	switch magic = magic[:n]; {
	case n >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		d.MediaType += "+gzip"
	case string(magic) == "\x28\xb5\x2f\xfd":
		d.MediaType += "+zstd"
	default:
		return d, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, ctxReader{ctx, f}); err != nil {
		return d, err
	}
	d.Digest = store.FromSum(h.Sum(nil))
	return d, nil
}

// Get returns the configuration.
func (a *dockerArchive) Get(ctx context.Context, d oci.Descriptor, max int64) ([]byte, error) {
	return a.docs.Get(ctx, d, max)
}

// Layer opens a layer; an archive that was opened anew looks where it lies first.
func (a *dockerArchive) Layer(ctx context.Context, l oci.Layer, offset int64) (*Body, error) {
	if _, err := a.First(ctx, ""); err != nil {
		return nil, err
	}
	name, ok := a.layers[l.Digest]
	if !ok {
		return nil, fmt.Errorf("layer %s: %w", l.Digest, store.ErrNotFound)
	}
	return body(a.files, name, offset)
}

// Packed is n, or less in a compressed file.
func (a *dockerArchive) Packed(n int64) int64 { return a.files.packed(n) }

// Close closes the archive.
func (a *dockerArchive) Close() error { return a.files.Close() }

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

// Read ends with the context.
func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
