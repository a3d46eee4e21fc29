package inject

import (
	"path"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// environ is what programs read. CUDA_VISIBLE_DEVICES of the host counted other GPUs: here numbering
// begins at 0, as only the chosen ones can be seen; a MIG slice has to be named.
func (p *planner) environ() error {
	o := p.out
	o.Env["NVIDIA_VISIBLE_DEVICES"] = "void" // a container runtime inside must not inject again
	o.Unset = append(o.Unset, "CUDA_VISIBLE_DEVICES")
	var ids []string
	mig := 0
	for _, k := range p.Picks {
		ids = append(ids, k.ID())
		if k.MIG != nil {
			mig++
		}
	}
	if mig > 0 {
		o.Unset = nil
		o.Env["CUDA_VISIBLE_DEVICES"] = strings.Join(ids, ",")
		if len(ids) > 1 {
			o.note("a CUDA program uses one MIG slice at a time; each process has to set CUDA_VISIBLE_DEVICES to one of " + strings.Join(ids, ", "))
		}
	}
	env := map[string]string{}
	for _, kv := range p.Image.Env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	p.libraryPath(env["LD_LIBRARY_PATH"])
	p.preload(env["LD_PRELOAD"])
	if p.wants(gpu.Video) && env["VDPAU_DRIVER_PATH"] == "" && p.sonames[soname{"libvdpau_nvidia.so.1", 64}] != "" {
		o.Env["VDPAU_DRIVER_PATH"] = Lib64
	}
	if p.wants(gpu.Graphics, gpu.Display) && env["GBM_BACKENDS_PATH"] == "" && p.sonames[soname{"libnvidia-allocator.so.1", 64}] != "" {
		o.Env["GBM_BACKENDS_PATH"] = strings.Join([]string{Lib64 + "/gbm", "/usr/lib/" + multiarch() + "/gbm", "/usr/lib64/gbm", "/usr/lib/gbm"}, ":")
	}
	return nil
}

// libraryPath takes folders of stubs out of LD_LIBRARY_PATH (a stub answers "CUDA driver is a stub
// library", error 34), and what points at folders of ours or at hidden ones. A folder with a libcuda of its
// own that is no stub stays, behind ours.
func (p *planner) libraryPath(value string) {
	var keep []string
	own := p.fallback
	for i, dir := range strings.Split(value, ":") {
		switch {
		case value == "" || i >= 1000:
		case !path.IsAbs(dir):
			keep = append(keep, dir)
		case below(dir, Dir):
			// Ours is put in by rule, not because an image says so.
		case p.hidden(dir), p.hidden(p.Image.resolve(dir)):
			p.out.note("LD_LIBRARY_PATH: " + dir + " is left out: it is hidden")
		case slices.Contains(strings.Split(path.Clean(dir), "/"), "stubs"):
			p.out.note("LD_LIBRARY_PATH: " + dir + " is left out: it holds stubs of the driver, made for linking (LIBRARY_PATH) and not for running")
		case p.compatDir != "" && (dir == p.compatDir || p.Image.resolve(dir) == p.compatDir):
			keep = append(keep, dir)
		default:
			if p.Image.exists(path.Join(dir, "libcuda.so.1")) || p.Image.exists(path.Join(dir, "libnvidia-ml.so.1")) {
				own = true
				p.out.note("LD_LIBRARY_PATH: " + dir + " holds parts of a driver; this machine's come before them")
			}
			keep = append(keep, dir)
		}
	}
	if own {
		keep = append(p.folders(), keep...)
	}
	switch joined := strings.Join(keep, ":"); {
	case joined == value:
	case joined == "":
		p.out.Unset = append(p.out.Unset, "LD_LIBRARY_PATH")
	default:
		p.out.Env["LD_LIBRARY_PATH"] = joined
	}
}

// preload takes libraries of a driver out of LD_PRELOAD: loaded first, they would stand before this
// machine's.
func (p *planner) preload(value string) {
	var keep, dropped []string
	for _, lib := range strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == ':' }) {
		base := path.Base(lib)
		name, _, _ := strings.Cut(base, ".so")
		if below(lib, Dir) || p.hidden(lib) || name == "libcuda" || name == "libcudadebugger" || strings.HasPrefix(name, "libnvidia-") || slices.Contains(strings.Split(lib, "/"), "stubs") {
			dropped = append(dropped, lib)
			continue
		}
		keep = append(keep, lib)
	}
	if len(dropped) == 0 {
		return
	}
	p.out.note("LD_PRELOAD: " + strings.Join(dropped, " ") + " is left out: the driver is this machine's")
	if len(keep) == 0 {
		p.out.Unset = append(p.out.Unset, "LD_PRELOAD")
		return
	}
	p.out.Env["LD_PRELOAD"] = strings.Join(keep, ":")
}
