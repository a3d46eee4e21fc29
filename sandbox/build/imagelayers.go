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
	for i := len(pulled) - 1; i > 0; i-- {
		if layer.OpaqueRoot(pulled[i].FS) {
			pulled = pulled[i:]
			break
		}
	}
	var out []Layer
	var names, dirs []string
	for _, l := range pulled {
		out = append(out, Layer{Name: l.Name, FS: l.FS, Why: why, DiffID: string(l.DiffID)})
		names, dirs = append(names, l.Name), append(dirs, l.Dir)
	}
	if len(pulled) < 2 {
		return out, nil
	}
	name, err := key("folder attributes", names)
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
