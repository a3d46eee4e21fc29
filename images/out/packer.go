package out

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/printable"
)

const typeGzip = oci.TypeLayer + "+gzip"

// Packer turns layers of the store into the blobs that leave. What a source could not give is not asked for again,
// and what was compressed anew in its place is not compressed once more.
type Packer struct {
	o    Options
	anew map[store.Digest]Descriptor // by the digest that it came with

	mu   sync.Mutex
	lost map[string]error // why nothing is asked for: by the digest of a blob, or by a source that gives nothing
}

// NewPacker returns a packer for the layers of one store.
func NewPacker(o Options) *Packer {
	return &Packer{o: o, anew: map[store.Digest]Descriptor{}, lost: map[string]error{}}
}

// errDamaged is a cached blob that is not what its name says; it is removed.
var errDamaged = errors.New("damaged blob in the store")

// stream writes the blob of l to w, from the first place that has it. reset takes back what was written.
func (p *Packer) stream(ctx context.Context, l Layer, w io.Writer, reset func() error) (Descriptor, error) {
	if sl, ok := p.o.Store.Layer(ctx, l.Name); ok && l.Digest == "" && sl.DiffID != "" && (l.DiffID == "" || l.DiffID == sl.DiffID) {
		if d, size := sl.Packed(); d != "" && p.o.Store.HasBlob(ctx, d, size) {
			was := l
			was.Digest, was.DiffID, was.Size, was.MediaType = d, sl.DiffID, size, typeGzip
			if d, err := p.cached(ctx, was, w); err == nil {
				return d, nil
			}
			if err := reset(); err != nil {
				return Descriptor{}, err
			}
		}
	}
	if l.Digest != "" {
		d, err := p.cached(ctx, l, w)
		for tries := 0; errors.Is(err, errDamaged) && tries < 2; tries++ {
			if err := reset(); err != nil {
				return d, err
			}
			d, err = p.cached(ctx, l, w)
		}
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return d, err
		}
		p.log("blob of a layer is gone", "layer", l.What, "err", err)
	}
	if err := reset(); err != nil {
		return Descriptor{}, err
	}
	return p.pack(ctx, l, w)
}

// cached copies the blob that the store has, or that can be fetched again. ErrNotFound is in the tree of
// its error if there is none.
func (p *Packer) cached(ctx context.Context, l Layer, w io.Writer) (Descriptor, error) {
	d := Descriptor{MediaType: mediaType(l.MediaType), Digest: l.Digest, DiffID: l.DiffID}
	if !p.o.Store.HasBlob(ctx, l.Digest, l.Size) {
		err := p.fetch(ctx, l)
		if ctx.Err() != nil {
			return d, ctx.Err()
		}
		if err != nil {
			return d, errors.Join(store.ErrNotFound, err)
		}
	}
	f, err := p.o.Store.OpenBlob(ctx, l.Digest)
	if err != nil {
		return d, err
	}
	defer f.Close()
	size := int64(-1)
	if fi, err := f.Stat(); err == nil {
		size = fi.Size()
	}
	m := &meter{w: w, h: sha256.New(), ctx: ctx, report: p.report(l, size)}
	if _, err := io.CopyBuffer(m, onlyReader{f}, make([]byte, 256<<10)); err != nil {
		return d, err
	}
	m.report(m.n, m.n)
	if got := store.FromSum(m.h.Sum(nil)); got != l.Digest {
		p.log("a damaged blob is removed", "digest", string(l.Digest))
		if err := p.o.Store.RemoveBlobFile(l.Digest, f); err != nil {
			return d, fmt.Errorf("%w: %s", errDamaged, l.Digest)
		}
		return d, errDamaged
	}
	d.Size = m.n
	return d, nil
}

// onlyReader hides what would let Copy go around the meter.
type onlyReader struct{ io.Reader }

// pack makes the blob anew: the tar that came, put together again, or the canonical one of what was built
// here, compressed by the frozen encoder. A tar that came without compression leaves without it.
func (p *Packer) pack(ctx context.Context, l Layer, w io.Writer) (Descriptor, error) {
	sl, ok := p.o.Store.Layer(ctx, l.Name)
	if l.Tree != "" {
		sl = store.Layer{FS: l.Tree}
	} else if why := p.isLost(l); !ok && why != nil {
		return Descriptor{}, fmt.Errorf("%s: layer %s: %w, and its blob could not be fetched again: %w", l.What, l.Name, store.ErrNotFound, why)
	} else if !ok {
		return Descriptor{}, fmt.Errorf("%s: layer %s: %w", l.What, l.Name, store.ErrNotFound)
	}
	blob := &meter{w: w, h: sha256.New(), ctx: ctx, report: func(int64, int64) {}}
	plain := l.Digest != "" && l.Digest == l.DiffID
	var z io.WriteCloser = keepOpen{blob}
	if !plain {
		z = NewGzip(blob)
	}
	diff := &meter{w: z, h: sha256.New(), ctx: ctx, report: p.report(l, -1)}
	err := writeTar(ctx, diff, sl, l)
	if cerr := z.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return Descriptor{}, fmt.Errorf("pack %s: %w", l.What, err)
	}
	diff.report(diff.n, diff.n)
	d := Descriptor{MediaType: typeGzip, Digest: store.FromSum(blob.h.Sum(nil)), Size: blob.n, DiffID: store.FromSum(diff.h.Sum(nil))}
	if plain {
		d.MediaType = oci.TypeLayer
	}
	if l.DiffID != "" && l.DiffID != d.DiffID {
		return d, fmt.Errorf("pack %s: %w", l.What, &store.DigestError{Want: l.DiffID, Got: d.DiffID})
	}
	if l.Digest != "" && l.Digest != d.Digest && p.o.Notice != nil {
		why := ""
		if err := p.isLost(l); err != nil {
			why = " (" + printable.Line(err.Error(), maxWhy) + ")"
		}
		p.o.Notice(fmt.Sprintf("%s: its blob %s is not in the store and could not be fetched again%s; it was compressed anew, so its digest is another", l.What, short(l.Digest), why))
	}
	if l.Digest == "" && l.Pack != nil && l.Tree == "" {
		p.note(sl, d)
	}
	return d, nil
}

// note remembers what a layer came out as: the next push asks the registry for it before it packs.
func (p *Packer) note(sl store.Layer, d Descriptor) {
	err := p.o.Store.SetPacked(sl.Name, d.Digest, d.Size)
	if err == nil && sl.DiffID == "" {
		err = p.o.Store.SetDiffID(sl.Name, d.DiffID)
	}
	if err != nil {
		p.log("not noted", "layer", sl.Name, "err", err)
	}
}

func writeTar(ctx context.Context, w io.Writer, sl store.Layer, l Layer) error {
	if l.Pack == nil {
		err := layer.Reassemble(ctx, w, sl.Dir)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("the store cannot give back the tar that it came as: %w", err)
		}
		return err
	}
	o := *l.Pack
	if o.Owners == nil {
		var err error
		if o.Owners, err = layer.ReadOwners(sl.Dir); err != nil {
			return err
		}
	}
	return layer.Pack(ctx, w, sl.FS, o)
}

// Blob brings the blob of l into the store, if it is not there.
func (p *Packer) Blob(ctx context.Context, l Layer) (Descriptor, error) {
	if l.Digest != "" && p.o.Store.HasBlob(ctx, l.Digest, l.Size) {
		return p.there(ctx, l, l.Digest, mediaType(l.MediaType))
	}
	if sl, ok := p.o.Store.Layer(ctx, l.Name); ok && l.Digest == "" {
		if d, size := sl.Packed(); d != "" && sl.DiffID != "" && p.o.Store.HasBlob(ctx, d, size) {
			l.DiffID = sl.DiffID
			return p.there(ctx, l, d, typeGzip)
		}
	}
	if l.Digest != "" {
		if err := p.fetch(ctx, l); err == nil {
			return p.there(ctx, l, l.Digest, mediaType(l.MediaType))
		} else if ctx.Err() != nil {
			return Descriptor{}, ctx.Err()
		}
		if d, ok := p.anew[l.Digest]; ok && p.o.Store.HasBlob(ctx, d.Digest, d.Size) {
			return d, nil
		}
	}
	var d Descriptor
	_, _, err := p.o.Store.MakeBlob(ctx, func(w io.Writer) (err error) {
		d, err = p.pack(ctx, l, w)
		return err
	})
	if err == nil && l.Digest != "" {
		p.anew[l.Digest] = d
	}
	return d, err
}

// there describes a blob of the store.
func (p *Packer) there(ctx context.Context, l Layer, digest store.Digest, mediaType string) (Descriptor, error) {
	d := Descriptor{MediaType: mediaType, Digest: digest, DiffID: l.DiffID}
	f, err := p.o.Store.OpenBlob(ctx, digest)
	if err != nil {
		return d, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err == nil {
		d.Size = fi.Size()
	}
	return d, err
}

func (p *Packer) report(l Layer, total int64) func(done, total int64) {
	return func(done, _ int64) {
		t := total
		if t < 0 || done > t {
			t = -1
		}
		p.o.Report.Do("export", l.What, done, t)
	}
}

func (p *Packer) log(msg string, args ...any) {
	if p.o.Log != nil {
		p.o.Log.Info(msg, args...)
	}
}

func short(d store.Digest) string { return d.Hex()[:12] }

// mediaType gives Docker's types of layers their OCI names: the bytes are the same.
func mediaType(t string) string {
	switch {
	case strings.HasSuffix(t, "zstd"):
		return oci.TypeLayer + "+zstd"
	case strings.HasSuffix(t, "gzip"):
		return typeGzip
	}
	return oci.TypeLayer
}

type keepOpen struct{ io.Writer }

// Close leaves the writer open.
func (keepOpen) Close() error { return nil }

// meter counts and hashes what passes, tells how far it is now and then, and ends with its context.
type meter struct {
	w      io.Writer
	h      hash.Hash
	ctx    context.Context
	n      int64
	told   int64
	report func(done, total int64)
}

const tellEvery = 4 << 20

// Write passes p on.
func (m *meter) Write(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	m.h.Write(p)
	n, err := m.w.Write(p)
	if m.n += int64(n); m.n-m.told >= tellEvery {
		m.told = m.n
		m.report(m.n, -1)
	}
	return n, err
}
