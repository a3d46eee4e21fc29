package oci

import (
	"context"
	"errors"
	"fmt"

	"github.com/4cc2e759/sandbox/images/store"
)

// Getter brings a small blob or manifest that a document points at, at most max bytes, and has
// verified that it is what the descriptor says.
type Getter func(ctx context.Context, d Descriptor, max int64) ([]byte, error)

// First is the document that a reference leads to.
type First struct {
	Bytes     []byte
	Digest    store.Digest
	MediaType string
}

// Resolve walks from first to the image for platform. It asks get for documents and configuration
// only, never for a layer.
func Resolve(ctx context.Context, first First, platform string, get Getter) (*Image, error) {
	p, err := ParsePlatform(platform)
	if err != nil {
		return nil, err
	}
	w := walk{p: p, get: get, seen: map[store.Digest]bool{}}
	img, err := w.document(ctx, first, 0)
	if err != nil {
		return nil, err
	}
	if img == nil {
		return nil, &PlatformError{Want: p.String(), Have: w.have}
	}
	if img.Manifest != first.Digest {
		img.Index = first.Digest
	}
	return img, nil
}

type walk struct {
	p    Platform
	get  Getter
	seen map[store.Digest]bool // each document is read once, however many paths lead to it
	have []string
}

// document returns nil without an error where nothing fits.
func (w *walk) document(ctx context.Context, f First, depth int) (*Image, error) {
	if w.seen[f.Digest] = true; len(w.seen) > maxDocuments {
		return nil, fmt.Errorf("its indexes lead to more than %d documents", maxDocuments)
	}
	doc, err := ParseDocument(f.Bytes, f.MediaType)
	if err != nil {
		return nil, err
	}
	if !doc.IsIndex() {
		return w.manifest(ctx, f.Digest, doc)
	}
	if depth >= maxNesting {
		return nil, fmt.Errorf("%w: an index nested deeper than %d", ErrNotRunnable, maxNesting)
	}
	good, have := choose(doc.Manifests, w.p)
	w.have = append(w.have, have...)
	if len(good) > 64 {
		good = good[:64]
	}
	var other error
	for _, d := range good {
		if w.seen[d.Digest] {
			continue
		}
		b, err := w.get(ctx, d, MaxManifest)
		if err != nil {
			return nil, err
		}
		img, err := w.document(ctx, First{b, d.Digest, d.MediaType}, depth+1)
		switch {
		case img != nil:
			return img, nil
		case d.Platform == nil && errors.Is(err, ErrNotRunnable):
			other = err // an index may hold artifacts beside images
		case err != nil:
			return nil, err
		}
	}
	if len(w.have) > 0 {
		return nil, nil
	}
	return nil, other
}

func (w *walk) manifest(ctx context.Context, digest store.Digest, doc *Document) (*Image, error) {
	b, err := w.get(ctx, doc.Config, MaxConfig)
	if err != nil {
		return nil, err
	}
	img, err := NewImage(digest, doc, b)
	if err != nil {
		return nil, err
	}
	c := img.Config
	if q := (Platform{c.OS, c.Architecture, c.Variant}); q.OS != "" && q.Architecture != "" {
		// A variant in the configuration is often finer than what the index promised; only the
		// processor's family decides here.
		if q.Variant = ""; w.p.OS != q.OS || w.p.Architecture != q.Architecture {
			w.have = append(w.have, q.String())
			return nil, nil
		}
	}
	return img, nil
}

// NewImage puts a manifest and its configuration together. Both must be verified already.
func NewImage(digest store.Digest, doc *Document, config []byte) (*Image, error) {
	c, diffs, err := ParseConfig(config)
	if err != nil {
		return nil, err
	}
	if len(diffs) != len(doc.Layers) {
		return nil, fmt.Errorf("broken image: the manifest has %d layers, the configuration %d", len(doc.Layers), len(diffs))
	}
	img := &Image{Manifest: digest, ConfigDigest: doc.Config.Digest, Config: c}
	for i, l := range doc.Layers {
		img.Layers = append(img.Layers, Layer{Digest: l.Digest, DiffID: diffs[i], Size: l.Size, MediaType: l.MediaType})
	}
	return img, nil
}
