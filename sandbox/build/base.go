package build

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/registry"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/lockfile"
)

// base has the layers that the environment starts from.
func (b *Builder) base(ctx context.Context, sec *envfile.Section, epoch int64) (*Env, error) {
	env := &Env{}
	if isDeb(sec.Image.Ref) {
		env.AptSources = true
		return env, b.addDebBase(ctx, env, sec, epoch)
	}
	img, err := b.pinned(ctx, sec.Image)
	if err != nil {
		return nil, err
	}
	layers, err := b.Images.Pull(ctx, img)
	if err != nil {
		return nil, err
	}
	env.Image = img.Config
	if env.Layers, err = ImageLayers(ctx, b.Store, layers, "base "+sec.Image.Ref, b.Limits); err != nil {
		return nil, err
	}
	env.Blobs = append(env.Blobs, sec.Image.Manifest, sec.Image.Index, string(img.ConfigDigest))
	return env, nil
}

func isDeb(ref string) bool { return strings.HasPrefix(ref, "deb:") }

// pinned is the image of a lock: what the store knows, else what the registry serves under exactly
// this digest.
func (b *Builder) pinned(ctx context.Context, pin envfile.ImagePin) (*images.Image, error) {
	d, err := store.ParseDigest(pin.Manifest)
	if err != nil {
		return nil, fmt.Errorf("base %s: %w", pin.Ref, err)
	}
	ref, err := images.ParseRef(pin.Ref)
	if err != nil {
		return nil, err
	}
	if ref.Kind == images.Registry {
		ref.Digest = d
	}
	if img, ok := b.Images.Known(ctx, d); ok { // without a lock, which a store that is only readable has no place for
		img.Ref = ref.String() // its layers may still have to come from there
		return img, nil
	}
	// Of many processes that want one image, the first fetches its documents; layers have such a lock
	// of their own.
	lock, err := lockfile.Lock(ctx, b.Store.Path(store.Locks, "image-"+d.Hex()), lockfile.Exclusive, nil)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if img, ok := b.Images.Known(ctx, d); ok {
		img.Ref = ref.String()
		return img, nil
	}
	const takeNew = "to take what is there now: sandbox lock --upgrade base"
	img, err := b.Images.Resolve(ctx, ref, b.platform())
	var gone *registry.NotFoundError
	if errors.As(err, &gone) {
		return nil, hint.With(fmt.Errorf("base %s: the locked image is gone: %s", pin.Ref, d), takeNew)
	} else if err != nil {
		return nil, err
	}
	if img.Manifest != d {
		return nil, hint.With(fmt.Errorf("base %s is %s now; the lock says %s", pin.Ref, img.Manifest, d), takeNew)
	}
	return img, nil
}

// lockBase pins the base and has its layers, so that what comes next can look into it. An image
// keeps its pin unless it is set free.
func (b *Builder) lockBase(ctx context.Context, sec *envfile.Section, keep *envfile.ImagePin) (created int64, err error) {
	if keep != nil && keep.Manifest != "" && keep.Ref == b.File.Image.Base {
		sec.Image = *keep
		if d, err := store.ParseDigest(keep.Manifest); err == nil {
			if img, ok := b.Images.Known(ctx, d); ok {
				return img.Config.Created.Unix(), nil
			}
		}
	}
	ref, err := images.ParseRef(b.File.Image.Base)
	if err != nil {
		return 0, err
	}
	if keep != nil && keep.Ref == b.File.Image.Base && ref.Kind == images.Registry {
		if d, err := store.ParseDigest(keep.Manifest); err == nil {
			ref.Digest = d
		}
	}
	img, err := b.Images.Resolve(ctx, ref, b.platform())
	if err != nil {
		return 0, err
	}
	sec.Image = envfile.ImagePin{Ref: b.File.Image.Base, Index: string(img.Index), Manifest: string(img.Manifest)}
	for _, l := range img.Layers {
		sec.Image.Layers = append(sec.Image.Layers, envfile.LayerPin{
			Digest: string(l.Digest), DiffID: string(l.DiffID), Size: l.Size, MediaType: l.MediaType,
		})
	}
	return img.Config.Created.Unix(), nil
}

// BaseEnv is the environment that the locked base's image sets; no layer is fetched for it.
func (b *Builder) BaseEnv(ctx context.Context, sec *envfile.Section) ([]string, error) {
	if isDeb(sec.Image.Ref) {
		return nil, nil
	}
	img, err := b.pinned(ctx, sec.Image)
	if err != nil {
		return nil, err
	}
	return img.Config.Env, nil
}
