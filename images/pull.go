package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/4cc2e759/sandbox/images/archive"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/images/unpack"
)

// Pull puts img's layers into the store and returns them, bottom first. Layers that are there are not
// asked for. If img.Ref is set, the store notes what it led to. Pull goes on where a killed one was.
func (im *Images) Pull(ctx context.Context, img *Image) ([]store.Layer, error) {
	p := &pull{im: im, img: img, have: map[store.Digest]store.Layer{}}
	defer p.close()
	var missing []Layer
	names := im.standing(img)
	for i, l := range img.Layers {
		if have, ok := im.standsFor(ctx, l, names, i); ok {
			p.have[l.DiffID] = have
		} else if !slices.ContainsFunc(missing, func(m Layer) bool { return m.DiffID == l.DiffID }) {
			missing = append(missing, l)
		}
	}
	if err := p.fetch(ctx, missing); err != nil {
		return nil, err
	}
	out := make([]store.Layer, 0, len(img.Layers))
	for _, l := range img.Layers {
		out = append(out, p.have[l.DiffID])
	}
	return out, im.record(img, out)
}

type pull struct {
	im  *Images
	img *Image

	keep bool // blobs of files of this machine too

	mu   sync.Mutex
	have map[store.Digest]store.Layer
	arch archive.Archive
}

// fetch brings the largest layers first, so that no large one is left alone at the end.
func (p *pull) fetch(ctx context.Context, missing []Layer) error {
	if len(missing) == 0 {
		return nil
	}
	open, direct, err := p.source(ctx)
	if err != nil {
		return err
	}
	missing = slices.Clone(missing) // it may be the image's own list
	slices.SortStableFunc(missing, func(a, b Layer) int { return cmp.Compare(b.Size, a.Size) })
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(p.im.o.Jobs)
	for _, l := range missing {
		if inner.Err() != nil {
			break
		}
		g.Go(func() error {
			name := "layer " + l.Digest.Hex()[:12]
			o := unpack.Options{DropBlobs: p.im.o.DropBlobs && !p.keep, Direct: direct && !p.keep, Limits: p.im.o.Limits, Log: p.im.o.Log, Report: p.im.o.Report, Notice: p.im.o.Notice}
			if p.arch != nil {
				o.Packed = p.arch.Packed
			}
			var from unpack.Open
			if open != nil {
				from = func(ctx context.Context, offset int64) (unpack.Body, error) { return open(ctx, l, name, offset) }
			}
			got, err := unpack.Layer(inner, p.im.st, l, name, from, o)
			if err != nil {
				return err
			}
			p.im.o.Log.Info("layer brought", "layer", l.Digest, "bytes", l.Size, "type", l.MediaType, "diffID", l.DiffID)
			p.mu.Lock()
			p.have[l.DiffID] = got
			p.mu.Unlock()
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		p.need(err, missing)
		return fmt.Errorf("pull %s: %w", p.img.Ref, err)
	}
	return ctx.Err()
}

// need tells a full disk what is still to come: the layers that are not there yet, as small as they can be.
func (p *pull) need(err error, missing []Layer) {
	var full *store.SpaceError
	if !errors.As(err, &full) {
		return
	}
	full.Need = 0
	for _, l := range missing {
		if _, ok := p.have[l.DiffID]; !ok {
			full.Need += max(l.Size, 0)
		}
	}
}

type opener func(ctx context.Context, l Layer, name string, offset int64) (unpack.Body, error)

// source is where the image's reference says that layers lie; direct for files of this machine, which
// are not copied into the blob store.
func (p *pull) source(ctx context.Context) (open opener, direct bool, err error) {
	if p.img.Ref == "" {
		return nil, false, nil
	}
	ref, err := ParseRef(p.img.Ref)
	if err != nil {
		return nil, false, err
	}
	if ref.Kind != Registry {
		if p.arch == nil {
			if p.arch, err = p.im.openArchive(ctx, ref); err != nil {
				return nil, false, err
			}
		}
		return func(ctx context.Context, l Layer, _ string, offset int64) (unpack.Body, error) {
			return p.arch.Layer(ctx, l, offset)
		}, true, nil
	}
	if p.im.o.Offline {
		return func(_ context.Context, l Layer, name string, _ int64) (unpack.Body, error) {
			return nil, fmt.Errorf("%s: %w", name, ErrOffline)
		}, false, nil
	}
	repo, err := p.im.reg.Repository(ref.Host, ref.Path)
	if err != nil {
		return nil, false, err
	}
	return func(ctx context.Context, l Layer, name string, offset int64) (unpack.Body, error) {
		return repo.Open(ctx, l.Digest, l.Size, offset, name)
	}, false, nil
}

func (p *pull) close() {
	if p.arch != nil {
		p.arch.Close()
	}
}
