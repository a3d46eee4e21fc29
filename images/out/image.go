package out

import (
	"context"
	"log/slog"
	"time"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// Image is what leaves.
type Image struct {
	Layers []Layer // bottom first
	Config oci.Config
	// Annotations of the manifest.
	Annotations map[string]string
	// Manifest and RawConfig, if set, are the documents of an image that leaves as it came. They are used
	// if every layer comes out with the digest that they name.
	Manifest, RawConfig []byte
}

// Layer is one layer of an [Image].
type Layer struct {
	oci.Layer        // as it came; of a layer that was built here nothing but perhaps the DiffID is set
	Name      string // in the store: hex of its diffID, or its build key
	Tree      string // instead of Name: a tree elsewhere, with Pack
	What      string // in words, for progress and history
	From      string // the reference that it came from; "" = none
	// Repository is "host/path" of a registry that has it; "" = none is known.
	Repository string

	// Pack is how a layer that was built here is made a tar; nil for one that came as a tar.
	Pack *layer.PackOptions
}

// Options of [Export] and [NewPacker].
type Options struct {
	Store *store.Store
	// Fetch brings the blob of a layer that came from elsewhere into the store again; nil = cannot.
	Fetch func(ctx context.Context, l Layer) error
	// Refetch tells whether Fetch may count on the layer's source, so that a push can name the layer
	// before it has the blob.
	Refetch func(l Layer) bool
	Notice  func(string) // what the user should know; nil = nobody is told
	Report  progress.Report
	Log     *slog.Logger
}

// Descriptor is a layer that has left.
type Descriptor struct {
	MediaType string
	Digest    store.Digest
	Size      int64
	DiffID    store.Digest
}

// Result is what came out.
type Result struct {
	Manifest store.Digest `json:"manifest"`
	Config   store.Digest `json:"config"`
	Layers   int          `json:"layers"`
	Size     int64        `json:"size"` // bytes of the tar, or of all blobs
}

// Config made here has this time where there is no other: an image without one is shown as decades old
// by some engines and refused by none.
func created(c oci.Config) time.Time {
	if c.Created.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return c.Created.UTC()
}
