package images

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/4cc2e759/sandbox/images/out"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/images/unpack"
)

// OutOptions are those of package out for images of this store: blobs of layers that are gone are fetched
// again from where they came.
func (im *Images) OutOptions(notice func(string)) out.Options {
	return out.Options{Store: im.st, Fetch: im.fetchBlob, Notice: notice, Report: im.o.Report, Log: im.o.Log}
}

// Leaving gives an image of this store as it came, ready to be given away. names are the layers of the
// store that stand for img's, as [store.ImageRecord] has them; nil = they are named by their diffIDs.
func (im *Images) Leaving(img *Image, names []string, what string) (out.Image, error) {
	o := out.Image{Config: img.Config}
	var err error
	if o.Manifest, err = im.read(img.Manifest, 64<<20); err != nil {
		return o, fmt.Errorf("manifest of %s: %w", what, err)
	}
	if o.RawConfig, err = im.read(img.ConfigDigest, 64<<20); err != nil {
		return o, fmt.Errorf("configuration of %s: %w", what, err)
	}
	o.Layers = im.LeavingLayers(img, what)
	for i := range o.Layers {
		if len(names) == len(o.Layers) {
			o.Layers[i].Name = names[i]
		}
	}
	return o, nil
}

// LeavingLayers are img's layers for package out.
func (im *Images) LeavingLayers(img *Image, what string) []out.Layer {
	var list []out.Layer
	for i, l := range img.Layers {
		list = append(list, out.Layer{Layer: l, Name: l.DiffID.Hex(), From: img.Ref,
			What: fmt.Sprintf("%s, layer %d of %d", what, i+1, len(img.Layers))})
	}
	return list
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
	open, _, err := p.source()
	if err != nil {
		return err
	}
	body, err := open(ctx, l.Layer, l.What, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	return im.keepBlob(ctx, l, body)
}

func (im *Images) keepBlob(ctx context.Context, l out.Layer, body unpack.Body) error {
	w, err := im.st.NewBlobContext(ctx, l.Digest, l.Size)
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	if w.Offset() > 0 {
		if err := w.Reset(); err != nil {
			return err
		}
	}
	if _, err := io.Copy(w, &telling{r: body, tell: func(n int64) { im.o.Report.Do("fetch", l.What, n, l.Size) }}); err != nil {
		return err
	}
	return w.Commit()
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
