package out

import (
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/registry"
	"github.com/4cc2e759/sandbox/images/store"
)

const typeEmpty = "application/vnd.oci.empty.v1+json"

// Referrer makes an artifact about an image that was pushed as u: one document of mediaType, which tools find
// by asking the registry what refers to the image.
func Referrer(u registry.Upload, mediaType, what string, doc []byte) (registry.Upload, error) {
	empty := []byte("{}")
	m := jsonManifest{
		SchemaVersion: 2, MediaType: oci.TypeManifest, ArtifactType: mediaType,
		Config:  jsonDescriptor{MediaType: typeEmpty, Digest: store.DigestOf(empty), Size: int64(len(empty))},
		Layers:  []jsonDescriptor{{MediaType: mediaType, Digest: store.DigestOf(doc), Size: int64(len(doc))}},
		Subject: &jsonDescriptor{MediaType: u.MediaType, Digest: store.DigestOf(u.Manifest), Size: int64(len(u.Manifest))},
	}
	b, err := encode(m)
	return registry.Upload{
		Manifest: b, MediaType: oci.TypeManifest, Report: u.Report, Jobs: u.Jobs,
		Blobs: []registry.Blob{document("empty configuration", typeEmpty, empty), document(what, mediaType, doc)},
	}, err
}
