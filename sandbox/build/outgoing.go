package build

import (
	"context"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/out"
	"github.com/4cc2e759/sandbox/images/store"
)

// Outgoing are the layers of a built environment as others get them, bottom first: those of the base as
// they came, those that were built here. What is of this machine alone stays.
func (b *Builder) Outgoing(ctx context.Context, lock *envfile.Lock, section string, env *Env) []out.Layer {
	sec := lock.Sections[section]
	var list []out.Layer
	if !isDeb(sec.Image.Ref) {
		base := &images.Image{Ref: sec.Image.Ref}
		for _, l := range sec.Image.Layers {
			base.Layers = append(base.Layers, images.Layer{Digest: store.Digest(l.Digest), DiffID: store.Digest(l.DiffID), Size: l.Size, MediaType: l.MediaType})
		}
		list = b.Images.LeavingLayers(ctx, base, "base")
	}
	for _, l := range env.Layers {
		if !l.made || l.derived {
			continue
		}
		list = append(list, out.Layer{Layer: images.Layer{Size: -1}, Name: l.Name, What: l.Why,
			Pack: &layer.PackOptions{Epoch: lock.Epoch, NoHardlinks: l.linked}})
	}
	return list
}
