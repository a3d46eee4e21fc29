package inject

import (
	"encoding/json"
	"path"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver"
)

// places are the folders below /etc that the loaders of graphics read; distributions use /usr/share, which
// is left to the image.
var places = map[string]string{
	"vulkan": "etc/vulkan/icd.d", "vulkan-layer": "etc/vulkan/implicit_layer.d", "egl": "etc/glvnd/egl_vendor.d", "egl-platform": "etc/egl/egl_external_platform.d",
}

// graphics describes the driver to the loaders of Vulkan and EGL.
func (p *planner) graphics() error {
	if !p.wants(gpu.Graphics, gpu.Display) {
		return nil
	}
	for _, d := range p.Set.Data {
		dir := places[d.Kind]
		switch {
		case d.Kind == "optix":
			p.out.Binds = append(p.out.Binds, Bind{Source: d.Path, Target: "/usr/share/nvidia/" + d.Name, Flags: []string{"ro", "nosuid", "nodev", "noexec"}, Optional: true, Why: "OptiX's denoiser reads its weights here"})
			continue
		case dir == "":
			continue
		}
		if problem := p.closed(dir); problem != "" {
			p.out.note(d.Name + " is left out: " + problem)
			continue
		}
		content, err := plainNames(d)
		if err != nil {
			p.out.note(d.Name + " is left out: " + err.Error())
			continue
		}
		p.lower(path.Join(dir, d.Name), content)
	}
	return nil
}

// closed says why nothing can be added to a folder of the image; "" if it can.
func (p *planner) closed(dir string) string {
	if p.Facts.NoLower != "" {
		return p.Facts.NoLower
	}
	for d := "/" + dir; d != "/etc"; d = path.Dir(d) {
		if problem := p.Image.plainFolder(d); problem != "" {
			return problem
		}
	}
	return ""
}

// plainNames is a description in which libraries have no folder: hosts without ld.so.cache name paths of
// their own.
func plainNames(d driver.Data) ([]byte, error) {
	var v any
	if err := json.Unmarshal(d.Content, &v); err != nil {
		return nil, err
	}
	if !strip(v, 0) {
		return d.Content, nil
	}
	b, err := json.MarshalIndent(v, "", "    ")
	return append(b, '\n'), err
}

func strip(v any, depth int) (changed bool) {
	if depth > 8 {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok && k == "library_path" && path.IsAbs(s) {
				v[k], changed = path.Base(s), true
			} else if strip(x, depth+1) {
				changed = true
			}
		}
	case []any:
		for _, x := range v {
			changed = strip(x, depth+1) || changed
		}
	}
	return changed
}
