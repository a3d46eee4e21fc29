package build

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
)

// Identify computes what the built layers of an environment came out as: the diffID of the canonical
// tar, and the digest of the file list. What was computed before is kept beside the layer.
func (b *Builder) Identify(ctx context.Context, lock *envfile.Lock, env *Env) (map[string]envfile.BuiltLayer, error) {
	out := map[string]envfile.BuiltLayer{}
	for i := range env.Layers {
		l := &env.Layers[i]
		if !l.made || l.derived {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sl, ok := b.Store.Layer(ctx, l.Name)
		if !ok {
			return nil, fmt.Errorf("layer %s: %w", l.Name, store.ErrNotFound)
		}
		if sl.DiffID == "" || sl.Files() == "" {
			b.Report.Do("hash", l.Why, 0, 1)
			d, err := b.digests(ctx, sl, *l, lock.Epoch)
			if err != nil {
				return nil, fmt.Errorf("hash layer %s: %w", l.Why, err)
			}
			b.Report.Do("hash", l.Why, 1, 1)
			sl.DiffID = d.DiffID
			out[l.Name] = envfile.BuiltLayer{DiffID: string(d.DiffID), Files: string(d.Files)}
		} else {
			out[l.Name] = envfile.BuiltLayer{DiffID: string(sl.DiffID), Files: string(sl.Files())}
		}
		l.DiffID = string(sl.DiffID)
	}
	return out, nil
}

func (b *Builder) digests(ctx context.Context, sl store.Layer, l Layer, epoch int64) (layer.Digests, error) {
	owners, err := layer.ReadOwners(sl.Dir)
	if err != nil {
		return layer.Digests{}, err
	}
	d, err := layer.DiffID(ctx, filepath.Clean(sl.FS), layer.PackOptions{Owners: owners, Epoch: epoch, NoHardlinks: l.linked})
	if err != nil {
		return d, err
	}
	if err := b.Store.SetDiffID(sl.Name, d.DiffID); err != nil {
		return d, err
	}
	return d, b.Store.SetFiles(sl.Name, d.Files)
}
