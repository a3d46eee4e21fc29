package driver

import (
	"path"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// described are the files that tell the loaders of graphics where the driver is. The firmware is not
// among them: since Linux 5.8 the kernel loads it from the host's first mount namespace, whoever opens
// the device.
var described = []struct{ kind, dir, prefix string }{
	{"vulkan", "vulkan/icd.d", "nvidia_icd"},
	{"vulkan-layer", "vulkan/implicit_layer.d", "nvidia_layers"},
	{"egl", "glvnd/egl_vendor.d", "10_nvidia"},
	{"egl-platform", "egl/egl_external_platform.d", ""},
}

func (f *finder) data(driverRoot string) {
	if !wanted(graphics, f.caps) {
		return
	}
	bases := []string{"/etc", "/usr/share", "/run/opengl-driver/share", "/usr/local/nvidia/share"}
	if driverRoot != "" {
		bases = append([]string{path.Join(driverRoot, "share"), path.Join(driverRoot, "usr/share")}, bases...)
	}
	seen := map[string]bool{}
	for _, d := range described {
		for _, b := range bases {
			dir, err := inRoot(f.root, path.Join(b, d.dir))
			if err != nil {
				continue
			}
			for _, name := range sortedNames(dir) {
				key := d.dir + "/" + name
				if seen[key] || !strings.HasSuffix(name, ".json") || !strings.HasPrefix(name, d.prefix) || !strings.Contains(name, "nvidia") && !strings.Contains(name, "wayland") {
					continue
				}
				seen[key] = f.description(d.kind, path.Join(dir, name))
			}
		}
	}
	for _, b := range bases {
		if real, err := inRoot(f.root, path.Join(b, "nvidia/nvoptix.bin")); err == nil {
			if fi, ok := regular(real); ok {
				f.set.Data = append(f.set.Data, Data{Path: real, Kind: "optix", Name: "nvoptix.bin", Size: fi.Size()})
				break
			}
		}
	}
}

func (f *finder) description(kind, name string) bool {
	real, err := inRoot(f.root, within(f.root, name))
	if err != nil {
		return false
	}
	if _, ok := regular(real); !ok {
		return false
	}
	b, err := readSmall(real)
	if err != nil {
		f.note("%s is left out: %v", path.Base(name), err)
		return false
	}
	f.set.Data = append(f.set.Data, Data{Path: real, Kind: kind, Name: path.Base(name), Content: b, Size: int64(len(b))})
	return true
}

// wants tells whether one capability was asked for.
func (f *finder) wants(c gpu.Capability) bool { return wanted([]gpu.Capability{c}, f.caps) }
