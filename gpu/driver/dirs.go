package driver

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver/ldcache"
)

// multiarch is the folder of Debian and Ubuntu for this machine.
func multiarch() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux-gnu"
	}
	return "x86_64-linux-gnu"
}

// libDirs are the usual folders in the order they are looked at, after the driver root and what
// ld.so.cache names.
func libDirs(root string, caps []gpu.Capability) []string {
	dirs := []string{"/usr/lib/" + multiarch()}
	dirs = append(dirs, alternatives(root, multiarch())...)
	dirs = append(dirs,
		"/usr/lib64", "/usr/lib", "/lib64", "/lib/"+multiarch(), "/lib",
		"/usr/lib/nvidia", "/usr/lib64/nvidia",
		"/run/opengl-driver/lib",               // NixOS; also a convention of Guix
		"/usr/local/nvidia/lib64",              // what Kubernetes device plug-ins mount
		"/home/kubernetes/bin/nvidia/lib64",    // GKE's Container-Optimized OS
		"/opt/nvidia/current/lib64",            // Flatcar
		"/opt/nvidia/lib64", "/opt/nvidia/lib", //
		"/run/nvidia/driver/usr/lib/"+multiarch(), "/run/nvidia/driver/usr/lib64", // NVIDIA's GPU operator
		"/var/lib/nvidia/lib64", // COS, installed by hand
		"/var/lib/snapd/lib/gl", // snaps
		"/var/lib/snapd/hostfs/usr/lib/"+multiarch(),
	)
	if wanted([]gpu.Capability{gpu.Compat32}, caps) {
		dirs = append(dirs, "/usr/lib/i386-linux-gnu")
		dirs = append(dirs, alternatives(root, "i386-linux-gnu")...)
		dirs = append(dirs, "/usr/lib32", "/lib32", "/run/opengl-driver-32/lib", "/usr/local/nvidia/lib")
	}
	return dirs
}

// alternatives are Debian's folders of drivers, of which several may be installed: nvidia/current,
// nvidia/tesla-470.
func alternatives(root, arch string) []string {
	var out []string
	for _, n := range sortedNames(path.Join(root, "usr/lib", arch, "nvidia")) {
		out = append(out, path.Join("/usr/lib", arch, "nvidia", n))
	}
	return out
}

// RootDirs are where libraries lie below a driver root; the root itself may be that folder too.
func RootDirs(root string) []string {
	var out []string
	for _, d := range []string{"", "/lib64", "/lib", "/lib/" + multiarch(), "/usr/lib64", "/usr/lib/" + multiarch(), "/usr/lib/" + multiarch() + "/nvidia/current", "/usr/lib"} {
		out = append(out, path.Join(root, d))
	}
	return out
}

// place is a folder that exists.
type place struct {
	path  string // of the host, without links
	names []string
	info  fs.FileInfo
}

// places opens folders below root one by one, each real folder once.
type places struct {
	root string
	all  []place
}

// add returns the folder that name leads to, nil if there is none or it was added before.
func (p *places) add(name string) *place {
	real, err := inRoot(p.root, name)
	if err != nil {
		return nil
	}
	fi, err := os.Stat(real)
	if err != nil || !fi.IsDir() || slices.ContainsFunc(p.all, func(o place) bool { return os.SameFile(o.info, fi) }) {
		return nil
	}
	p.all = append(p.all, place{path: real, info: fi, names: names(real)})
	return &p.all[len(p.all)-1]
}

// paths are all folders, as messages name them.
func (p *places) paths() []string {
	var out []string
	for _, o := range p.all {
		out = append(out, o.path)
	}
	return out
}

// cached are the folders that the host's ld.so.cache names for libraries of the driver: where the entry
// says, and where its links lead (Debian's alternatives lead elsewhere).
func cached(root string) []string {
	name, err := inRoot(root, "/etc/ld.so.cache")
	if err != nil {
		return nil
	}
	entries, err := ldcache.Parse(readCache(name))
	if err != nil {
		return nil // a cache that the linker does not read either
	}
	var out []string
	add := func(dir string) {
		if !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name, "libcuda.so") && !strings.HasPrefix(e.Name, "libnvidia-") && !strings.HasPrefix(e.Name, "libnvcuvid.so") && !strings.HasPrefix(e.Name, "libGLX_nvidia.so") {
			continue
		}
		if real, err := inRoot(root, e.Path); err == nil {
			add(path.Dir(within(root, real)))
		} else if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		add(path.Dir(e.Path))
	}
	return out
}
