package inject

import (
	"fmt"
	"path"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver"
)

// compat decides about the image's cuda-compat packages, each with a libcuda of another version than the
// kernel module: used by rule, else hidden, because a program that loads it where it does not fit ends
// with CUDA error 803 or 804.
func (p *planner) compat() error {
	mode := p.CompatMode
	if mode != "" && mode != "auto" && mode != "on" && mode != "off" {
		return fmt.Errorf("--cuda-compat wants auto, on or off: %q", mode)
	}
	if mode == "on" && len(p.Facts.Compat) == 0 {
		return &CompatError{"the image has no cuda-compat"}
	}
	if mode == "on" && p.Set.WSL {
		return &CompatError{"there is none on WSL2"}
	}
	best, why := p.bestCompat(mode)
	for _, c := range p.Facts.Compat {
		if best != nil && c == *best {
			p.compatDir = c.Dir
			p.out.Record.reason("libcuda %s of the image's cuda-compat: %s", c.Version, why)
			continue
		}
		p.out.Masks = append(p.out.Masks, Mask{c.Folder, "the image's libcuda " + c.Version + " is not to be used: " + why})
		p.out.Record.reason("libcuda of the host, not %s of the image's cuda-compat: %s", c.Version, why)
	}
	return nil
}

// bestCompat is the newest package if it is to be used, and the reason.
func (p *planner) bestCompat(mode string) (*Compat, string) {
	var best *Compat
	for i, c := range p.Facts.Compat {
		if best == nil || driver.Major(c.Version) > driver.Major(best.Version) {
			best = &p.Facts.Compat[i]
		}
	}
	host := p.driverVersion()
	switch {
	case best == nil:
		return nil, ""
	case !p.wants(gpu.Compute):
		return nil, "no compute was asked for"
	case mode == "off":
		return nil, "--cuda-compat=off"
	case p.Set.WSL:
		return nil, "WSL2 has only Windows' own"
	case mode == "on":
		if driver.Major(best.Version) <= driver.Major(host) {
			p.out.note(fmt.Sprintf("cuda-compat %s is not newer than the driver %s: CUDA may refuse with error 803", best.Version, host))
		}
		return best, "--cuda-compat=on"
	case driver.Major(best.Version) <= driver.Major(host):
		return nil, fmt.Sprintf("it is not of a newer branch than the driver %s", host)
	}
	for _, d := range p.devices() {
		if !DataCentre(d.Name) {
			return nil, "it works on data-centre GPUs only, and one is " + d.Name
		}
	}
	return best, fmt.Sprintf("its branch is newer than the driver %s, and the GPUs are of data centres", host)
}

// DataCentre tells by its name whether a GPU is one that NVIDIA supports cuda-compat on. Names of desktops
// are listed and not those of data centres, since new ones of the latter appear more often.
func DataCentre(name string) bool {
	if name == "" || strings.Contains(name, "Server Edition") {
		return name != ""
	}
	for _, w := range []string{"GeForce", "Quadro", "TITAN", "Titan", "NVS", "RTX", "GTX", "Graphics"} {
		if strings.Contains(name, w) {
			return false
		}
	}
	return true
}

// compatNames are the libraries of a cuda-compat package that programs ask for.
func (p *planner) compatNames() []string {
	var out []string
	names := p.Image.names(p.compatDir)
	for _, n := range []string{"libcuda.so", "libcuda.so.1", "libcudadebugger.so.1", "libnvidia-ptxjitcompiler.so.1", "libnvidia-nvvm.so.4", "libnvidia-nvvm70.so.4", "libnvidia-tileiras.so.1"} {
		for _, have := range names {
			if have == n {
				out = append(out, path.Join(p.compatDir, n))
			}
		}
	}
	for _, have := range names { // those whose SONAME has the version
		if b, v, ok := strings.Cut(have, ".so."); ok && driver.IsVersion(v) && (b == "libnvidia-gpucomp" || strings.HasPrefix(b, "libnvidia-pkcs11")) {
			out = append(out, path.Join(p.compatDir, have))
		}
	}
	return out
}
