// Package out gives images away: as one tar file that every container engine loads, or to a registry.
// Describe what leaves as an [Image], then use [Export]; [Packer] brings single layers into the blob
// store for a push.
//
// # What makes two exports the same bytes
//
// Layers of images leave as the blobs they came as. Layers that were built here are packed in one
// canonical way and compressed by [NewGzip], whose output depends on its input alone; its exact bytes
// belong to the layer format 1, and a test holds them. Configuration and manifest are written in one
// order with no time of their own.
//
// # The tar
//
// It is an OCI layout with the manifest.json of `docker save` beside it, which names the same blobs:
// Docker reads manifest.json, Podman, containerd, skopeo and umoci read index.json. Nothing in it is
// written twice.
package out
