package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/4cc2e759/sandbox/images/out"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// standing are the layers of the store that stand for those of a recorded image: what was built here is
// not named by its diffID.
func (im *Images) standing(img *Image) []string {
	rec, err := im.st.Image(img.Ref)
	if img.Ref == "" || err != nil || rec.Manifest != img.Manifest || len(rec.Layers) != len(img.Layers) {
		return nil
	}
	return rec.Layers
}

// standsFor finds the layer of the store for the i-th of an image.
func (im *Images) standsFor(ctx context.Context, l Layer, names []string, i int) (store.Layer, bool) {
	if have, ok := im.st.Layer(ctx, l.DiffID.Hex()); ok || names == nil {
		return have, ok
	}
	have, ok := im.st.Layer(ctx, names[i])
	return have, ok && have.DiffID == l.DiffID
}

// Keep makes o an image of the store called ref, which is found and run without asking a registry. Layers
// that the store does not have as trees are unpacked.
func (im *Images) Keep(ctx context.Context, ref Ref, o out.Image, notice func(string)) (*Image, error) {
	if ref.Kind != Registry || ref.Digest != "" {
		return nil, hint.With(fmt.Errorf("not a name for an image: %s", ref), "a name looks like team/app:1.0")
	}
	u, r, err := out.NewPacker(im.OutOptions(notice)).Upload(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, b := range [][]byte{u.Manifest, u.Config} {
		if _, _, err := im.st.PutBlob(ctx, bytes.NewReader(b), ""); err != nil {
			return nil, err
		}
	}
	img, ok := im.Known(ctx, r.Manifest)
	if !ok {
		return nil, errors.New("the documents of the image that was made cannot be read back")
	}
	layers := make([]store.Layer, len(img.Layers))
	for i, l := range img.Layers {
		var name []string
		if o.Layers[i].Tree == "" {
			name = make([]string, i+1)
			name[i] = o.Layers[i].Name
		}
		if have, ok := im.standsFor(ctx, l, name, i); ok {
			layers[i] = have
			continue
		}
		one := &Image{Ref: o.Layers[i].From, Layers: []Layer{l}}
		p := &pull{im: im, img: one, have: map[store.Digest]store.Layer{}}
		err := p.fetch(ctx, one.Layers)
		p.close()
		if err != nil {
			return nil, err
		}
		layers[i] = p.have[l.DiffID]
	}
	img.Ref = ref.String()
	return img, im.st.PutImage(madeRecord(img, layers))
}

func madeRecord(img *Image, layers []store.Layer) store.ImageRecord {
	r := store.ImageRecord{Ref: img.Ref, Index: img.Index, Manifest: img.Manifest, Config: img.ConfigDigest, Size: img.Size(), Pulled: time.Now().UTC(), Made: true}
	for _, l := range layers {
		r.Layers = append(r.Layers, l.Name)
	}
	return r
}

// keepOf brings the blob of a layer that was there as a tree already; a plain tar can be put together from it.
func (im *Images) keepOf(ctx context.Context, img *Image, l Layer) error {
	if l.Digest == l.DiffID || im.st.HasBlob(ctx, l.Digest, l.Size) {
		return nil
	}
	return im.fetchBlob(ctx, out.Layer{Layer: l, From: img.Ref, What: "layer " + l.Digest.Hex()[:12]})
}
