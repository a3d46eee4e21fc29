package sandbox

import (
	"context"
	"path/filepath"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/sandbox/build"
)

// Import takes the image of a file into the store, as name or as the file calls it.
func (m *Manager) Import(ctx context.Context, file, name string) (*images.Image, error) {
	im, err := m.images("")
	if err != nil {
		return nil, err
	}
	if file, err = filepath.Abs(file); err != nil {
		return nil, err
	}
	return im.Import(ctx, file, name, build.Platform())
}

// Inspect finds out what a reference stands for: in the store, in a file or in a registry. No layer is
// fetched.
func (m *Manager) Inspect(ctx context.Context, ref string) (*images.Image, error) {
	r, err := images.ParseRef(ref)
	if err != nil {
		return nil, err
	}
	im, err := m.images("")
	if err != nil {
		return nil, err
	}
	return im.Resolve(ctx, r, build.Platform())
}

// keepMade keeps the blobs of an image that was made here: no registry has them, and compressed anew they would
// have other digests. What the frozen encoder made could be made again; to tell it apart is not worth it.
func (m *Manager) keepMade(ctx context.Context, keep map[string]bool, r store.ImageRecord) {
	im, err := m.images("")
	if err != nil {
		return
	}
	if img, ok := im.Known(ctx, r.Manifest); ok {
		for _, l := range img.Layers {
			keepBlobs(keep, string(l.Digest))
		}
	}
}

// keepDocuments keeps what says what a sandbox of an image stands on: without it the sandbox could not be committed
// once nobody names the image.
func (m *Manager) keepDocuments(ctx context.Context, keep map[string]bool, manifest store.Digest) {
	im, err := m.images("")
	if err != nil {
		return
	}
	if img, ok := im.Known(ctx, manifest); ok {
		keepBlobs(keep, string(manifest), string(img.ConfigDigest))
	}
}
