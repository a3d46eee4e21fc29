package out

import (
	"bytes"
	"context"
	"io"

	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/registry"
	"github.com/4cc2e759/sandbox/images/store"
)

// Upload prepares im for a registry. Layers that were built here are packed now, because their digests are
// part of the manifest; blobs of others are only opened if the registry asks for their bytes.
func (p *Packer) Upload(ctx context.Context, im Image) (registry.Upload, Result, error) {
	var u registry.Upload
	var r Result
	var layers []Descriptor
	for _, l := range im.Layers {
		d, err := p.describe(ctx, l)
		if err != nil {
			return u, r, err
		}
		layers = append(layers, d)
		u.Blobs = append(u.Blobs, registry.Blob{
			Descriptor: oci.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}, What: l.What, From: l.Repository,
			Open: func(ctx context.Context) (io.ReadCloser, error) { return p.open(ctx, l, d.Digest) },
		})
		r.Size += d.Size
	}
	docs, err := makeDocuments(im, layers)
	if err != nil {
		return u, r, err
	}
	u.Manifest, u.Config, u.MediaType = docs.manifest, docs.config, docs.mediaType
	u.Blobs = append(u.Blobs, document("configuration", oci.TypeConfig, docs.config))
	r.Manifest, r.Config, r.Layers = docs.digest(), store.DigestOf(docs.config), len(layers)
	return u, r, nil
}

// describe is what l leaves as. Only of what came from a registry this is known without having the blob.
func (p *Packer) describe(ctx context.Context, l Layer) (Descriptor, error) {
	if l.Digest != "" && l.Size >= 0 && l.From != "" && p.isLost(l) == nil && !p.o.Store.HasBlob(ctx, l.Digest, l.Size) && p.o.Refetch != nil && p.o.Refetch(l) {
		return Descriptor{MediaType: mediaType(l.MediaType), Digest: l.Digest, Size: l.Size, DiffID: l.DiffID}, nil
	}
	return p.Blob(ctx, l)
}

func (p *Packer) open(ctx context.Context, l Layer, d store.Digest) (io.ReadCloser, error) {
	if !p.o.Store.HasBlob(ctx, d, -1) {
		if err := p.fetch(ctx, l); err != nil {
			return nil, &GoneError{Digest: d, What: l.What, Err: err}
		}
	}
	f, err := p.o.Store.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func document(what, mediaType string, b []byte) registry.Blob {
	return registry.Blob{
		Descriptor: oci.Descriptor{MediaType: mediaType, Digest: store.DigestOf(b), Size: int64(len(b))}, What: what,
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil },
	}
}
