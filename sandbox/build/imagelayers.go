package build

import (
	"context"
	"os"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
)

// ImageLayers are the layers of a pulled image as an environment stacks them, bottom first. What lies
// below a layer whose root is opaque is left out, since overlayfs does not look at that mark on a
// root. Folders that a layer has without saying how they look get their mode and attributes from the layers below, in
// one more layer of folders alone.
func ImageLayers(ctx context.Context, st *store.Store, pulled []store.Layer, why string, limits layer.Limits) ([]Layer, error) {
	pulled = visible(pulled)
	var out []Layer
	var names, dirs []string
	for _, l := range pulled {
		out = append(out, Layer{Name: l.Name, FS: l.FS, Why: why, DiffID: string(l.DiffID)})
		names, dirs = append(names, l.Name), append(dirs, l.Dir)
	}
	if len(pulled) < 2 {
		return out, nil
	}
	name, err := inheritedKey(names)
	if err != nil {
		return nil, err
	}
	l, _, err := st.MakeLayer(ctx, name, func(dir string) error {
		_, err := layer.InheritLayer(ctx, dir+"/fs", dirs, limits)
		return err
	})
	if err != nil {
		return nil, err
	}
	if entries, err := os.ReadDir(l.FS); err != nil || len(entries) == 0 {
		return out, err
	}
	return append(out, Layer{Name: l.Name, FS: l.FS, Why: "modes and attributes of folders that " + why + " does not spell out", made: true, derived: true}), nil
}

// visible leaves out the layers below one that hides all of them.
func visible(pulled []store.Layer) []store.Layer {
	for i := len(pulled) - 1; i > 0; i-- {
		if layer.OpaqueRoot(pulled[i].FS) {
			return pulled[i:]
		}
	}
	return pulled
}

func inheritedKey(names []string) (string, error) { return key("folder attributes", names) }

// Inherited is the name of the layer that [ImageLayers] puts on top of these, or "" if there is none: gc keeps it
// with the image, since who can only read the store cannot make it again.
func Inherited(pulled []store.Layer) (string, error) {
	pulled = visible(pulled)
	if len(pulled) < 2 {
		return "", nil
	}
	var names []string
	for _, l := range pulled {
		names = append(names, l.Name)
	}
	return inheritedKey(names)
}
