package driver

import (
	"os"
	"path"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// wslLib is where Windows mounts the parts that are made for Linux, and wslStore its driver store. The
// paths are compiled into the libraries and told by the kernel, so they have to be the same inside.
const (
	wslLib   = "/usr/lib/wsl/lib"
	wslStore = "/usr/lib/wsl/drivers"
)

// isWSL tells a machine where Windows owns the GPU: /dev/dxg instead of nodes of NVIDIA.
func isWSL(roots gpu.Roots) bool {
	if _, err := os.Stat(path.Join(roots.Dev, "dxg")); err != nil {
		return false
	}
	_, err := os.Stat(path.Join(roots.Dev, "nvidiactl"))
	return err != nil
}

// wslGroup is group for the names of WSL2.
var wslGroup = map[string][]gpu.Capability{
	"libcuda": {gpu.Compute}, "libdxcore": {gpu.Compute, gpu.Utility, gpu.Video, gpu.Graphics, gpu.Display}, "libnvdxgdmal": {gpu.Compute, gpu.Utility}, "libnvdxdlkernels": {gpu.Compute},
	"libnvwgf2umx": graphics, "libd3d12": graphics, "libd3d12core": graphics,
}

func discoverWSL(roots gpu.Roots, o Options) (*Set, error) {
	s := &Set{Version: o.Version, WSL: true}
	f := finder{set: s, root: roots.FS, caps: o.Caps, seen: map[library]bool{}}
	lib, err := inRoot(roots.FS, wslLib)
	if err != nil {
		return nil, &NotFoundError{File: wslLib + "/libcuda.so.1"}
	}
	// Several versions of the Windows driver may be there; the kernel says which one is in use.
	for _, store := range sortedNames(path.Join(roots.FS, wslStore)) {
		dir := path.Join(roots.FS, wslStore, store)
		if fi, err := os.Stat(path.Join(dir, "libcuda.so.1.1")); err == nil && fi.Mode().IsRegular() {
			s.Dirs = append(s.Dirs, dir)
		}
	}
	s.Dirs = append([]string{lib}, s.Dirs...)
	for _, name := range sortedNames(lib) {
		base, _, isLib := strings.Cut(name, ".so")
		caps, known := wslGroup[base]
		if !known {
			caps, known = group[base]
		}
		if !isLib || !known || !wanted(caps, o.Caps) {
			continue
		}
		f.takeWSL(path.Join(lib, name), caps)
	}
	if f.wants(gpu.Compute) && !slices.ContainsFunc(s.Files, func(x File) bool { return x.Name == "libcuda.so.1" }) {
		return nil, &NotFoundError{File: "libcuda.so.1", Searched: s.Dirs, Notes: s.Notes}
	}
	if file, x, err := open(path.Join(lib, "nvidia-smi")); err == nil && x.native() && f.wants(gpu.Utility) {
		file.Caps = []gpu.Capability{gpu.Utility}
		s.Programs = append(s.Programs, file)
	}
	return s, nil
}

// takeWSL takes a library under the name it has there: libcuda.so, libcuda.so.1 and libcuda.so.1.1 are
// copies or links of each other, and programs ask for any.
func (f *finder) takeWSL(name string, caps []gpu.Capability) {
	real, err := inRoot(f.root, within(f.root, name))
	if err != nil {
		return
	}
	file, x, err := open(real)
	if err != nil {
		f.note("%s is left out: %v", path.Base(name), err)
		return
	}
	if !x.native() || x.class != 64 {
		return
	}
	file.Path, file.Name, file.Caps = name, path.Base(name), caps
	f.set.Files = append(f.set.Files, file)
}

func sortedNames(dir string) []string {
	list := names(dir)
	slices.Sort(list)
	return list
}
