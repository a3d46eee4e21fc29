// Package images turns references into verified layers on disk. Use [ParseRef], then [New] and its
// [Images.Resolve] for what a reference means now, and [Images.Pull] for its layers.
//
// Everything that has a digest is verified by this package and those below it, wherever it comes from. What is in
// the store is not asked for again: an image whose digest is known needs no network at all.
package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/images/archive"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/registry"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/printable"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// Image is what a reference stands for on one platform.
type Image = oci.Image

// Layer is one layer of an [Image].
type Layer = oci.Layer

// Config is the part of an image's configuration that says how to run it.
type Config = oci.Config

// Options are how images are brought in; the zero value is good.
type Options struct {
	Transport http.RoundTripper // nil = proxies and certificates from the environment
	Log       *slog.Logger
	Report    progress.Report
	Notice    func(string)           // one line for the user, said once; nil is silence
	Jobs      int                    // layers at once; 0 = one more than processors, at most 4
	Insecure  func(host string) bool // registries for which plain http and unknown certificates are accepted
	Mirrors   map[string][]string    // registry → hosts to ask first, "host[:port][/prefix]"
	CA        map[string]string      // registry → PEM file of its authority
	Dir       string                 // relative paths of references are below it; "" = the working directory
	UserAgent string                 // "" = "sandbox"
	DropBlobs bool                   // do not keep layers' compressed bytes once they are unpacked
	Offline   bool                   // nothing is fetched: what is missing is an error
	Stale     bool                   // where a registry cannot be reached, what its tag led to before will do
	Limits    layer.Limits
	Fetch     fetch.Options // tries and time-outs; what is above wins
}

// Images brings images into one store. It is safe for use by many goroutines.
type Images struct {
	st  *store.Store
	o   Options
	reg *registry.Client
}

// New returns the images of s.
func New(s *store.Store, o Options) *Images {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Jobs <= 0 {
		o.Jobs = min(runtime.GOMAXPROCS(0)+1, 4)
	}
	f := o.Fetch
	f.UserAgent = o.UserAgent
	reg := registry.New(registry.Options{Transport: o.Transport, Insecure: o.Insecure, Mirrors: o.Mirrors, CA: o.CA, Fetch: f, Log: o.Log})
	return &Images{st: s, o: o, reg: reg}
}

// maxError bounds what an error quotes of a file or a layer, in bytes.
const maxError = 600

// ErrOffline is in the tree of errors about something that would have to be fetched.
var ErrOffline = errors.New("not in the store, and nothing is fetched offline")

// Resolve finds out what ref stands for on platform ("linux/amd64"). It fetches at most manifest and
// configuration, never a layer, and keeps both in the blob store. A reference with a digest whose
// documents are in the store needs no network; a tag needs one request if it did not move.
//
// For dir: the folder is read and becomes a layer of the store here, because its digest is its
// content's.
func (im *Images) Resolve(ctx context.Context, ref Ref, platform string) (*Image, error) {
	var img *Image
	var err error
	if ref.Kind == Registry {
		img, err = im.resolveRegistry(ctx, ref, platform)
	} else {
		img, err = im.resolveArchive(ctx, ref, platform)
	}
	if err != nil {
		return nil, err
	}
	img.Ref = ref.String()
	return img, nil
}

func (im *Images) resolveArchive(ctx context.Context, ref Ref, platform string) (*Image, error) {
	a, err := im.openArchive(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	first, err := a.First(ctx, platform)
	if err != nil {
		said := fmt.Errorf("%s: %w", ref, printable.Error(err, maxError))
		if several := new(archive.ChoiceError); errors.As(err, &several) {
			said = hint.With(said, "one of them is written as "+printable.Line(ref.String()+":"+several.Have[0], maxError))
		}
		return nil, said
	}
	if err := im.put(ctx, first.Bytes, first.Digest); err != nil {
		return nil, err
	}
	img, err := oci.Resolve(ctx, first, platform, im.cached(a.Get))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, printable.Error(err, maxError))
	}
	return img, nil
}

func (im *Images) openArchive(ctx context.Context, ref Ref) (archive.Archive, error) {
	path, name := ref.File, ref.Tag
	switch ref.Kind {
	case OCIArchive, DockerArchive:
		path, name = im.splitFile(path)
	case OCI: // the name of an image may have a colon, too
		if dir, of := im.splitFile(ref.File + ":" + name); name != "" && !im.exists(path) && of != "" {
			path, name = dir, of
		}
	}
	path = im.at(path)
	a, err := archive.Open(ctx, string(ref.Kind), path, name, im.archiveOptions())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, printable.Error(err, maxError))
	}
	return a, nil
}

func (im *Images) archiveOptions() archive.Options {
	return archive.Options{Store: im.st, Limits: im.o.Limits, Report: im.o.Report, Full: func(name string) string {
		if r, err := parseName(name); err == nil {
			return r.String()
		}
		return name
	}}
}

// at is where the path of a reference leads to.
func (im *Images) at(path string) string {
	if filepath.IsAbs(path) || im.o.Dir == "" {
		return path
	}
	return filepath.Join(im.o.Dir, path)
}

func (im *Images) exists(path string) bool {
	_, err := os.Stat(im.at(path))
	return err == nil
}

// splitFile takes FILE[:NAME] apart. Both may hold colons: the longest part that is there is the file.
func (im *Images) splitFile(s string) (file, name string) {
	for i := len(s); i > 0; i = strings.LastIndexByte(s[:i], ':') {
		if im.exists(s[:i]) {
			return s[:i], strings.TrimPrefix(s[i:], ":")
		}
	}
	return s, ""
}

func (im *Images) resolveRegistry(ctx context.Context, ref Ref, platform string) (*Image, error) {
	repo, err := im.reg.Repository(ref.Host, ref.Path)
	if err != nil {
		return nil, err
	}
	first, err := im.first(ctx, repo, ref)
	if err != nil {
		return nil, err
	}
	img, err := oci.Resolve(ctx, first, platform, im.cached(func(ctx context.Context, d oci.Descriptor, max int64) ([]byte, error) {
		if im.o.Offline {
			return nil, fmt.Errorf("%s: %s: %w", ref, d.Digest, ErrOffline)
		}
		if d.MediaType == oci.TypeConfig || d.MediaType == oci.TypeDockerConfig {
			return repo.Blob(ctx, d, max)
		}
		return repo.Document(ctx, d, max)
	}))
	var p *oci.PlatformError
	if errors.As(err, &p) || errors.Is(err, oci.ErrNotRunnable) {
		err = fmt.Errorf("%s: %w", ref, err)
	}
	return img, err
}

// first is the document that ref leads to now: from the store if its digest is known or did not change.
func (im *Images) first(ctx context.Context, repo *registry.Repository, ref Ref) (oci.First, error) {
	want, before := ref.Digest, store.Digest("")
	if want == "" {
		if rec, err := im.st.Image(ref.String()); err == nil {
			if want = rec.Index; want == "" {
				want = rec.Manifest
			}
			before = want
			if rec.Made { // a registry may have another image of this name; it was not asked for
				ref.Digest = want
			} else if !im.o.Offline && im.st.HasBlob(ctx, want, -1) {
				if want, err = im.unmoved(ctx, repo, ref, want); err != nil {
					return oci.First{}, err
				}
			} else if !im.o.Offline {
				want = ""
			}
		}
	}
	if want != "" {
		if b, err := im.read(ctx, want, oci.MaxManifest); err == nil {
			return oci.First{Bytes: b, Digest: want}, nil
		}
	}
	if im.o.Offline {
		return oci.First{}, fmt.Errorf("%s: %w", ref, ErrOffline)
	}
	by := string(ref.Digest)
	if by == "" {
		by = ref.Tag
	}
	f, err := repo.Manifest(ctx, by)
	if err != nil {
		return f, err
	}
	if _, err := oci.ParseDocument(f.Bytes, f.MediaType); err != nil {
		return f, fmt.Errorf("%s: %w", ref, err)
	}
	if before != "" && before != f.Digest {
		im.notice("%s is sha256:%s… now; it was sha256:%s…", ref, f.Digest.Hex()[:12], before.Hex()[:12])
	}
	return f, im.put(ctx, f.Bytes, f.Digest)
}

// unmoved is the digest that a tag led to if it still does, or "".
func (im *Images) unmoved(ctx context.Context, repo *registry.Repository, ref Ref, was store.Digest) (store.Digest, error) {
	now, err := repo.Head(ctx, ref.Tag)
	var status *fetch.StatusError
	switch {
	case err != nil && im.o.Stale && fetch.Unreachable(err):
		im.notice("%s: its registry cannot be reached; what it was is used, sha256:%s…", ref, was.Hex()[:12])
		return was, nil
	case err != nil && !errors.As(err, &status): // some do not know HEAD: GET tells more
		return "", err
	case now != was:
		return "", nil
	}
	return was, nil
}

func (im *Images) notice(format string, a ...any) {
	if im.o.Notice != nil {
		im.o.Notice(fmt.Sprintf(format, a...))
	}
}

// cached puts the blob store before get.
func (im *Images) cached(get oci.Getter) oci.Getter {
	return func(ctx context.Context, d oci.Descriptor, max int64) ([]byte, error) {
		if d.Size > max {
			return nil, fmt.Errorf("%s has %d bytes, more than the limit of %d", d.Digest, d.Size, max)
		}
		if im.st.HasBlob(ctx, d.Digest, d.Size) {
			if b, err := im.read(ctx, d.Digest, max); err == nil {
				return b, nil
			}
		}
		b, err := get(ctx, d, max)
		if err != nil {
			return nil, err
		}
		return b, im.put(ctx, b, d.Digest)
	}
}

func (im *Images) put(ctx context.Context, b []byte, d store.Digest) error {
	_, _, err := im.st.PutBlob(ctx, bytes.NewReader(b), d)
	if errors.Is(err, store.ErrReadOnly) {
		return nil // what was read is right all the same
	}
	return err
}

// read returns a small blob of the store; a damaged one is removed and not there.
func (im *Images) read(ctx context.Context, d store.Digest, max int64) ([]byte, error) {
	f, err := im.st.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if got := store.DigestOf(b); got != d {
		im.o.Log.Warn("a damaged blob is removed", "digest", d)
		im.notice("a damaged document was in the store, it is fetched again: sha256:%s…", d.Hex()[:12])
		im.st.RemoveBlobFile(d, f)
		return nil, &store.DigestError{Want: d, Got: got}
	}
	return b, nil
}

// Known returns the image of a manifest from blobs alone; false if one of them is missing.
func (im *Images) Known(ctx context.Context, manifest store.Digest) (*Image, bool) {
	img, err := known(manifest, func(d store.Digest, max int64) ([]byte, error) { return im.read(ctx, d, max) })
	return img, err == nil
}

// Stored is Known for who is about to delete: it changes nothing, and says what cannot be read, by its file, or
// that it is not there (store.ErrNotFound).
func (im *Images) Stored(manifest store.Digest) (*Image, error) {
	return known(manifest, im.st.ReadBlob)
}

func known(manifest store.Digest, read func(d store.Digest, max int64) ([]byte, error)) (*Image, error) {
	b, err := read(manifest, oci.MaxManifest)
	if err != nil {
		return nil, err
	}
	doc, err := oci.ParseDocument(b, "")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", manifest, printable.Error(err, maxError))
	}
	if doc.IsIndex() {
		return nil, fmt.Errorf("%s: not the manifest of one image", manifest)
	}
	config, err := read(doc.Config.Digest, oci.MaxConfig)
	if err != nil {
		return nil, err
	}
	return oci.NewImage(manifest, doc, config)
}

// record notes what a reference led to.
func (im *Images) record(img *Image, layers []store.Layer) error {
	if img.Ref == "" || img.Manifest == "" {
		return nil
	}
	r := store.ImageRecord{Ref: img.Ref, Index: img.Index, Manifest: img.Manifest, Config: img.ConfigDigest, Size: img.Size(), Pulled: time.Now().UTC()}
	for _, l := range layers {
		r.Layers = append(r.Layers, l.Name)
	}
	if old, err := im.st.Image(img.Ref); err == nil && old.Manifest == r.Manifest && old.Index == r.Index {
		if slices.Equal(old.Layers, r.Layers) {
			return nil
		}
		// The same image by other layers, as where a built one was lost and unpacked again: gc keeps those that are named.
		r.Made, r.Pulled = old.Made, old.Pulled
	}
	err := im.st.PutImage(r)
	if errors.Is(err, store.ErrReadOnly) {
		return nil
	}
	return err
}
