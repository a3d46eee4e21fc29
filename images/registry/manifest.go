package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
)

const digestHeader = "Docker-Content-Digest"

// Manifest returns the document that a tag or a digest leads to. A digest is verified; so is what the
// registry itself says the digest is.
func (r *Repository) Manifest(ctx context.Context, ref string) (oci.First, error) {
	var f oci.First
	err := r.each(ctx, func(e *endpoint) error {
		return e.do("/manifests/"+ref, oci.Accept, func(src fetch.Source) error {
			b, h, err := r.c.fetch.Get(ctx, src, oci.MaxManifest)
			if err != nil {
				return err
			}
			f = oci.First{Bytes: b, Digest: store.DigestOf(b), MediaType: h.Get("Content-Type")}
			want := ref
			if _, err := store.ParseDigest(ref); err != nil {
				want = h.Get(digestHeader)
			}
			if _, err := store.ParseDigest(want); err == nil && want != string(f.Digest) {
				return &fetch.HashError{Name: "manifest " + r.join(ref), Want: want, Got: string(f.Digest)}
			}
			return nil
		})
	})
	return f, r.explain(ctx, ref, err)
}

// Head asks which digest a tag has now; "" where the registry does not say.
func (r *Repository) Head(ctx context.Context, tag string) (store.Digest, error) {
	var d store.Digest
	err := r.each(ctx, func(e *endpoint) error {
		return e.do("/manifests/"+tag, oci.Accept, func(src fetch.Source) error {
			h, err := r.c.fetch.Head(ctx, src)
			if err == nil {
				d, _ = store.ParseDigest(h.Get(digestHeader))
			}
			return err
		})
	})
	return d, r.explain(ctx, tag, err)
}

// Blob returns a small blob, such as a configuration, of at most max bytes and verifies it.
func (r *Repository) Blob(ctx context.Context, d oci.Descriptor, max int64) ([]byte, error) {
	if d.Size > max {
		return nil, fmt.Errorf("%s of %s has %d bytes, more than the limit of %d", d.MediaType, r.join(""), d.Size, max)
	}
	var b []byte
	err := r.each(ctx, func(e *endpoint) error {
		return e.do("/blobs/"+string(d.Digest), "", func(src fetch.Source) (err error) {
			if b, _, err = r.c.fetch.Get(ctx, src, d.Size); err != nil {
				return err
			}
			return check(b, d)
		})
	})
	return b, err
}

// Document is Blob for a manifest that an index names.
func (r *Repository) Document(ctx context.Context, d oci.Descriptor, max int64) ([]byte, error) {
	if d.Size > max {
		return nil, fmt.Errorf("manifest %s has %d bytes, more than the limit of %d", d.Digest, d.Size, max)
	}
	f, err := r.Manifest(ctx, string(d.Digest))
	if err != nil {
		return nil, err
	}
	return f.Bytes, check(f.Bytes, d)
}

func check(b []byte, d oci.Descriptor) error {
	if got := store.DigestOf(b); got != d.Digest {
		return &fetch.HashError{Name: d.MediaType, Want: string(d.Digest), Got: string(got)}
	}
	if int64(len(b)) != d.Size {
		return &fetch.SizeError{Name: d.MediaType + " " + string(d.Digest), Want: d.Size, Got: int64(len(b))}
	}
	return nil
}

func (r *Repository) join(ref string) string {
	switch _, err := store.ParseDigest(ref); {
	case ref == "":
		return display(r.name)
	case err == nil:
		return display(r.name) + "@" + ref
	}
	return display(r.name) + ":" + ref
}

// explain gives a manifest's absence the words for it.
func (r *Repository) explain(ctx context.Context, ref string, err error) error {
	var missing fetch.ErrNotFound
	if errors.As(err, &missing) {
		return hint.With(&NotFoundError{Ref: r.join(ref), Err: err}, r.helpMissing(ctx, ref))
	}
	return err
}

// NotFoundError says that a registry has no such image or tag.
type NotFoundError struct {
	Ref string
	Err error
}

func (e *NotFoundError) Error() string { return "no such image or tag: " + e.Ref }

// Unwrap gives the answer.
func (e *NotFoundError) Unwrap() error { return e.Err }

// Valid checks a reference's host and path as registries define them.
func Valid(host, path string) error {
	_, err := name.NewRepository(host+"/"+path, name.WeakValidation)
	return err
}
