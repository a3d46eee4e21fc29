// Package archive reads images from files of this machine: OCI layouts as folders and as tar files,
// what `docker save` writes, and plain folders. Use [Open].
//
// Nothing in them is believed: documents and layers are verified by digest and size where they are
// used, links inside layouts are not followed, and only regular files are opened.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// Archive is one image in a file or folder. It is safe for use by many goroutines until Close.
type Archive interface {
	// First is the document that the walk to the image begins with.
	First(ctx context.Context, platform string) (oci.First, error)
	// Get brings a document or configuration, verified.
	Get(ctx context.Context, d oci.Descriptor, max int64) ([]byte, error)
	// Layer begins to read a layer's blob; its reader verifies it.
	Layer(ctx context.Context, l oci.Layer, offset int64) (*Body, error)
	// Packed is how many bytes of the file so many bytes of its layers take: fewer where the file as a
	// whole is compressed.
	Packed(n int64) int64
	io.Closer
}

// Options of [Open].
type Options struct {
	Store  *store.Store // for temporary files
	Limits layer.Limits // of a file that is compressed as a whole; Memory is for the names in any
	Report progress.Report
	Full   func(string) string // the full form of a name, by which two are compared; nil = as it is
}

// Open opens what kind ("oci", "oci-archive", "docker-archive", "dir") says at path. tag chooses among
// the images of a layout or archive, by name, tag or @N; "" = the only one, or latest. A compressed file is unpacked here, which ends
// with ctx; more of it than o.Limits allow is a *[layer.LimitError].
func Open(ctx context.Context, kind, path, tag string, o Options) (Archive, error) {
	switch kind {
	case "oci":
		f, err := openFolder(path)
		if err != nil {
			return nil, err
		}
		return &layout{files: f, tag: tag, full: o.Full}, nil
	case "oci-archive":
		f, err := openTar(ctx, path, o)
		if err != nil {
			return nil, err
		}
		return &layout{files: f, tag: tag, full: o.Full}, nil
	case "docker-archive":
		f, err := openTar(ctx, path, o)
		if err != nil {
			return nil, err
		}
		return &dockerArchive{files: f, name: tag, full: o.Full}, nil
	case "dir":
		return openDir(path, o)
	}
	return nil, fmt.Errorf("unknown kind of image %q", kind)
}

// Body is the bytes of a layer.
type Body struct {
	io.Reader
	close func() error
}

// Close ends the reading.
func (b *Body) Close() error { return b.close() }

// Joined is false: the bytes come from one file.
func (b *Body) Joined() bool { return false }

// files is a folder or a tar file.
type files interface {
	open(name string) (*file, error)
	packed(n int64) int64
	io.Closer
}

type file struct {
	*io.SectionReader
	close func() error
}

func readAll(f files, name string, max int64) ([]byte, error) {
	x, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer x.close()
	if x.Size() > max {
		return nil, fmt.Errorf("%s has %d bytes, more than the limit of %d", name, x.Size(), max)
	}
	b := make([]byte, x.Size())
	if _, err := io.ReadFull(x, b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

func body(f files, name string, offset int64) (*Body, error) {
	x, err := f.open(name)
	if err != nil {
		return nil, err
	}
	if _, err := x.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, x.close())
	}
	return &Body{x, x.close}, nil
}

func verify(b []byte, d oci.Descriptor) error {
	if got := store.DigestOf(b); got != d.Digest {
		return &fetch.HashError{Name: document(d.MediaType), Want: string(d.Digest), Got: string(got)}
	}
	if d.Size != int64(len(b)) {
		return &fetch.SizeError{Name: string(d.Digest), Want: d.Size, Got: int64(len(b))}
	}
	return nil
}

// document is what a media type is called in messages.
func document(mediaType string) string {
	switch mediaType {
	case oci.TypeConfig, oci.TypeDockerConfig:
		return "its configuration"
	case oci.TypeIndex, oci.TypeDockerIndex:
		return "its index"
	}
	return "its manifest"
}
