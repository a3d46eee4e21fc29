package images

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/4cc2e759/sandbox/images/out"
	"github.com/4cc2e759/sandbox/images/registry"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// OutOptions are those of package out for images of this store: blobs of layers that are gone are fetched
// again from where they came.
func (im *Images) OutOptions(notice func(string)) out.Options {
	return out.Options{Store: im.st, Fetch: im.fetchBlob, Refetch: im.fromRegistry, Notice: notice, Report: im.o.Report, Log: im.o.Log}
}

// fromRegistry tells layers that a registry has from those of a file that may be gone.
func (im *Images) fromRegistry(l out.Layer) bool {
	r, err := ParseRef(l.From)
	return err == nil && r.Kind == Registry && !im.o.Offline
}

// About is a document about an image that is pushed after it, as an artifact that refers to it.
type About struct {
	MediaType, What string
	Document        []byte
}

// Push sends o to the repository of ref, under its tag, and then what there is about it. A registry that
// takes images but no artifacts is told of to notice.
func (im *Images) Push(ctx context.Context, ref Ref, o out.Image, about []About, notice func(string)) (registry.Pushed, error) {
	if ref.Kind != Registry || ref.Digest != "" {
		return registry.Pushed{}, hint.With(fmt.Errorf("not a place in a registry: %s", ref), "name one as registry.example/team/app:1.0")
	}
	if im.o.Offline {
		return registry.Pushed{}, fmt.Errorf("push %s: a push needs its registry, and nothing is sent offline", ref)
	}
	for i, l := range o.Layers { // package out knows repositories, not references
		if r, err := ParseRef(l.From); err == nil && r.Kind == Registry {
			o.Layers[i].Repository = r.Name()
		}
	}
	u, p, err := im.push(ctx, ref, o, notice)
	for _, a := range about {
		if err != nil {
			break
		}
		var r registry.Upload
		if r, err = out.Referrer(u, a.MediaType, a.What, a.Document); err != nil {
			return p, err
		}
		var done registry.Pushed
		if done, err = im.reg.Push(ctx, ref.Host, ref.Path, "", r); registry.Refused(err) {
			notice(fmt.Sprintf("the registry has taken the image, but not the %s that belongs to it: %v", a.What, err))
			err = nil
		} else if err == nil {
			p.Referrers = append(p.Referrers, done.Digest)
		}
	}
	if err != nil {
		return p, fmt.Errorf("push %s: %w", ref, err)
	}
	return p, nil
}

// push sends o. Of a layer whose source does not give its blob after all, the tar is compressed anew, and the
// rest of what was sent before is there by then.
func (im *Images) push(ctx context.Context, ref Ref, o out.Image, notice func(string)) (registry.Upload, registry.Pushed, error) {
	packer := out.NewPacker(im.OutOptions(notice))
	var before registry.Pushed
	for tries := 0; ; tries++ {
		u, _, err := packer.Upload(ctx, o)
		if err != nil {
			return u, before, err
		}
		u.Report, u.Jobs = im.o.Report, im.o.Jobs
		p, err := im.reg.Push(ctx, ref.Host, ref.Path, ref.Tag, u)
		p.Sent, p.Bytes = min(p.Sent+before.Sent, p.Blobs), p.Bytes+before.Bytes // what was cut off is sent again
		var gone *out.GoneError
		if !errors.As(err, &gone) || ctx.Err() != nil || tries == len(o.Layers) {
			return u, p, err
		}
		before = p
	}
}

// Leaving gives an image of this store as it came, ready to be given away. names are the layers of the
// store that stand for img's, as [store.ImageRecord] has them; nil = they are named by their diffIDs.
func (im *Images) Leaving(ctx context.Context, img *Image, names []string, what string) (out.Image, error) {
	o := out.Image{Config: img.Config}
	var err error
	if o.Manifest, err = im.read(ctx, img.Manifest, 64<<20); err != nil {
		return o, fmt.Errorf("manifest of %s: %w", what, err)
	}
	if o.RawConfig, err = im.read(ctx, img.ConfigDigest, 64<<20); err != nil {
		return o, fmt.Errorf("configuration of %s: %w", what, err)
	}
	o.Layers = im.LeavingLayers(ctx, img, what)
	for i := range o.Layers {
		if len(names) == len(o.Layers) {
			o.Layers[i].Name = names[i]
		}
	}
	return o, nil
}

// LeavingLayers are img's layers for package out.
func (im *Images) LeavingLayers(ctx context.Context, img *Image, what string) []out.Layer {
	var list []out.Layer
	from := im.sources(ctx, img)
	for i, l := range img.Layers {
		list = append(list, out.Layer{Layer: l, Name: l.DiffID.Hex(), From: from(l.Digest),
			What: fmt.Sprintf("%s, layer %d of %d", what, i+1, len(img.Layers))})
	}
	return list
}

// sources tells which reference can give a blob again: img's own, unless it has none or was made here. Nobody else
// has what was made here under its name, but other images, which came from a registry, may have its layers.
func (im *Images) sources(ctx context.Context, img *Image) func(store.Digest) string {
	if r, err := ParseRef(img.Ref); err == nil { // not that of an image that lost its name
		if rec, err := im.st.Image(r.String()); err != nil || !rec.Made {
			return func(store.Digest) string { return img.Ref }
		}
	}
	records, err := im.st.Images()
	if err != nil {
		im.o.Log.Warn("looking for where layers came from", "err", err)
	}
	from := map[store.Digest]string{}
	for _, rec := range records {
		r, err := ParseRef(rec.Ref)
		if err != nil || rec.Made || r.Kind != Registry {
			continue
		}
		r.Digest = rec.Manifest // the tag may have moved
		if other, ok := im.Known(ctx, rec.Manifest); ok {
			for _, l := range other.Layers {
				from[l.Digest] = r.String()
			}
		}
	}
	return func(d store.Digest) string { return from[d] }
}

// fetchBlob brings a layer's blob into the store from the reference that it came from.
func (im *Images) fetchBlob(ctx context.Context, l out.Layer) error {
	if l.From == "" {
		return store.ErrNotFound
	}
	if l.Size < 0 {
		l.Size = -1
	}
	p := &pull{im: im, img: &Image{Ref: l.From}}
	defer p.close()
	open, _, err := p.source(ctx)
	if err != nil {
		return err
	}
	resumed, err := im.keepBlob(ctx, l, open)
	var wrong *store.DigestError
	if errors.As(err, &wrong) && resumed { // what an earlier try left was
		_, err = im.keepBlob(ctx, l, open)
	}
	return err
}

// keepBlob goes on where an earlier try was.
func (im *Images) keepBlob(ctx context.Context, l out.Layer, open opener) (resumed bool, err error) {
	w, err := im.st.NewBlob(ctx, l.Digest, l.Size)
	if errors.Is(err, store.ErrExists) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer w.Close()
	at := w.Offset()
	if at == l.Size {
		return true, w.Commit()
	}
	body, err := open(ctx, l.Layer, "layer "+l.Digest.Hex()[:12], at)
	if err != nil {
		return false, err
	}
	defer body.Close()
	if _, err := io.Copy(w, &telling{r: body, n: at, tell: func(n int64) { im.o.Report.Do("fetch", l.What, n, l.Size) }}); err != nil {
		return at > 0, err
	}
	return at > 0, w.Commit()
}

// telling reports how much was read.
type telling struct {
	r    io.Reader
	n    int64
	tell func(int64)
}

// Read passes on.
func (t *telling) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.n += int64(n)
	t.tell(t.n)
	return n, err
}
