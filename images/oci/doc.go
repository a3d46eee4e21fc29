// Package oci reads the documents of an image: index, manifest and configuration, in the form of OCI
// and of Docker's second schema. Start with [Resolve], which walks from a first document to the
// [Image] for one platform and verifies every step.
//
// The documents come from strangers. Each is bounded in size and depth and has one reading only: keys that
// appear twice, a document that is two kinds at once and digests of another form are errors.
package oci

import (
	"time"

	"github.com/4cc2e759/sandbox/images/store"
)

// Bounds of what is read.
const (
	MaxManifest  = 4 << 20 // bytes of an index or manifest, as registries must support
	MaxConfig    = 8 << 20 // bytes of a configuration
	maxDepth     = 64      // of JSON
	maxNesting   = 3       // of indexes in indexes
	maxDocuments = 200     // that are asked for on the way to one image
	maxLayers    = 1000    // of an image; kernels stack 500
	maxBlob      = 1 << 40 // bytes of a layer
)

// Media types that are understood.
const (
	TypeIndex        = "application/vnd.oci.image.index.v1+json"
	TypeManifest     = "application/vnd.oci.image.manifest.v1+json"
	TypeConfig       = "application/vnd.oci.image.config.v1+json"
	TypeDockerIndex  = "application/vnd.docker.distribution.manifest.list.v2+json"
	TypeDocker       = "application/vnd.docker.distribution.manifest.v2+json"
	TypeDockerConfig = "application/vnd.docker.container.image.v1+json"
	TypeLayer        = "application/vnd.oci.image.layer.v1.tar"
)

// Accept is the header with which a registry is asked for a manifest.
const Accept = TypeIndex + ", " + TypeManifest + ", " + TypeDockerIndex + ", " + TypeDocker

// Image is what a reference stands for on one platform.
type Image struct {
	Ref          string       // as the user wrote it, with defaults filled in
	Index        store.Digest // what the reference led to, where that is not the manifest itself
	Manifest     store.Digest
	ConfigDigest store.Digest
	Config       Config
	Layers       []Layer // bottom first
}

// Size is the sum of the layers' compressed sizes in bytes.
func (m *Image) Size() (n int64) {
	for _, l := range m.Layers {
		n += l.Size
	}
	return n
}

// Layer is one layer of an [Image].
type Layer struct {
	Digest    store.Digest // of the blob as the registry has it
	DiffID    store.Digest // of the tar
	Size      int64        // of the blob, in bytes; -1 where it is not known before reading
	MediaType string
}

// Config is the part of an image's configuration that says how to run it.
type Config struct {
	Env                   []string
	Entrypoint, Cmd       []string
	WorkingDir, User      string
	Volumes, ExposedPorts []string // sorted
	Labels                map[string]string
	Shell                 []string
	StopSignal            string
	Created               time.Time // zero where the image does not say
	Architecture, OS      string
	Variant               string
}
