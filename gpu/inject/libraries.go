package inject

import (
	"path"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver"
)

// libraries shows the driver's libraries under their own names, with the links that programs ask for.
func (p *planner) libraries() error {
	p.whole()
	for _, f := range p.Set.Files {
		if !p.wants(f.Caps...) || f.Class == 32 && !p.wants(gpu.Compat32) {
			continue
		}
		if f.Class == 32 && !p.Facts.Multilib {
			continue
		}
		if !p.fits(f) {
			if strings.HasPrefix(f.Name, "libcuda.so.") && f.Class == 64 {
				return &LibcError{Libc: "glibc", File: f.Name, Need: f.Glibc, Have: p.Facts.Glibc}
			}
			e := LibcError{File: f.Name, Need: f.Glibc, Have: p.Facts.Glibc}
			p.out.note("left out: " + e.Error())
			continue
		}
		p.library(f)
	}
	if p.wants(gpu.Compat32) && !p.Facts.Multilib {
		p.out.note("the image has no 32-bit linker: the driver's 32-bit libraries are left out")
	}
	p.extraLinks()
	return nil
}

// whole shows the folders of WSL2 at their own paths: libdxcore asks the kernel where the driver is and
// opens it there.
func (p *planner) whole() {
	if !p.Set.WSL {
		return
	}
	for _, d := range p.Set.Dirs {
		p.out.Binds = append(p.out.Binds, Bind{Source: d, Target: p.below(d), Folder: true, Flags: []string{"ro", "nosuid", "nodev"}, Why: "Windows' driver; its libraries name each other by these paths"})
	}
}

// below is a path of the host as it is below the root of the driver's files.
func (p *planner) below(name string) string {
	if p.Roots.FS == "/" {
		return name
	}
	return "/" + strings.TrimPrefix(strings.TrimPrefix(name, p.Roots.FS), "/")
}

func (p *planner) library(f driver.File) {
	dir := Lib64
	if f.Class == 32 {
		dir = Lib32
	}
	why := "the driver's " + words(f.Caps)
	p.used(f)
	if p.Set.WSL {
		p.out.link(path.Join(dir, f.Name), p.below(f.Path), why)
		p.sonames[soname{f.Name, f.Class}] = path.Join(dir, f.Name)
		return
	}
	p.out.bind(f.Path, path.Join(dir, f.Name), why)
	name := f.SONAME
	if name == "" {
		name = f.Name
	}
	if name != f.Name {
		p.out.link(path.Join(dir, name), f.Name, "programs ask for this name")
	}
	p.sonames[soname{name, f.Class}] = path.Join(dir, name)
}

// extraLinks are names that programs ask for and that no library calls itself.
func (p *planner) extraLinks() {
	for _, class := range []int{64, 32} {
		dir := Lib64
		if class == 32 {
			dir = Lib32
		}
		for _, l := range [][3]string{
			{"libcuda.so", "libcuda.so.1", "many programs ask for this name, without a number"},
			{"libnvidia-opticalflow.so", "libnvidia-opticalflow.so.1", "programs ask for this name, without a number"},
			{"libGLX_indirect.so.0", "libGLX_nvidia.so.0", "OpenGL asks for it where the X server names no vendor"},
		} {
			if p.sonames[soname{l[1], class}] != "" {
				p.out.link(path.Join(dir, l[0]), l[1], l[2])
				p.sonames[soname{l[0], class}] = path.Join(dir, l[0])
			}
		}
		if p.wants(gpu.Graphics, gpu.Display) && p.sonames[soname{"libnvidia-allocator.so.1", class}] != "" {
			p.out.link(path.Join(dir, "gbm/nvidia-drm_gbm.so"), "../libnvidia-allocator.so.1", "GBM looks for its back ends under these names")
		}
	}
}

// programs are bound where the image can run them.
func (p *planner) programs() error {
	for _, f := range p.Set.Programs {
		if !p.wants(f.Caps...) {
			continue
		}
		switch {
		case f.Interp != "" && !p.Image.exists(f.Interp):
			p.out.note(f.Name + " is left out: it needs " + f.Interp + ", which the image lacks")
			continue
		case !p.fits(f):
			e := LibcError{File: f.Name, Need: f.Glibc, Have: p.Facts.Glibc}
			p.out.note("left out: " + e.Error())
			continue
		}
		p.used(f)
		if p.Set.WSL {
			p.out.link(path.Join(Bin, f.Name), p.below(f.Path), "a program of the driver")
		} else {
			p.out.bind(f.Path, path.Join(Bin, f.Name), "a program of the driver")
		}
		if !slices.Contains(p.out.PathAppend, Bin) {
			p.out.PathAppend = append(p.out.PathAppend, Bin)
		}
	}
	return nil
}

// sockets lead to services of the driver on the host.
func (p *planner) sockets() error {
	for _, s := range p.Set.Sockets {
		if !p.wants(s.Cap) {
			continue
		}
		b := Bind{Source: s.Path, Target: s.Target, Flags: []string{"nosuid", "nodev", "noexec"}, Optional: true, Why: "the service nvidia-" + s.Kind + " of the host"}
		if s.Kind == "mps" {
			b.Target, b.Folder, b.Optional, b.Why = MPS, true, false, "the MPS server of the host, which shares a GPU between processes"
			p.mps()
		}
		p.out.Binds = append(p.out.Binds, b)
	}
	return nil
}

// mps tells CUDA where the server's pipes are; its other variables are the client's own limits.
func (p *planner) mps() {
	for _, n := range []string{"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "CUDA_MPS_CLIENT_PRIORITY", "CUDA_MPS_ENABLE_PER_CTX_DEVICE_MULTIPROCESSOR_PARTITIONING"} {
		if v, ok := p.Environ[n]; ok {
			p.out.Env[n] = v
		}
	}
	p.out.Env["CUDA_MPS_PIPE_DIRECTORY"] = MPS
}

func words(caps []gpu.Capability) string {
	var out []string
	for _, c := range caps {
		out = append(out, string(c))
	}
	return strings.Join(out, ", ")
}
