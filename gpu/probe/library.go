package probe

import (
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver"
)

// folders are where drivers put their libraries, most usual first: distributions, Debian's own packages,
// NixOS and Guix, Kubernetes machines, Flatcar, WSL.
func folders() []string {
	return []string{
		"usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib", "usr/lib/*/nvidia/*", "usr/lib64/nvidia", "usr/lib/nvidia*",
		"run/opengl-driver/lib", "usr/local/nvidia/lib64", "home/kubernetes/bin/nvidia/lib64", "var/lib/nvidia/lib64", "opt/nvidia/lib64", "usr/lib/wsl/lib",
	}
}

// existing gives those that are there, the driver root's first, without looking further than asked.
func existing(r gpu.Roots, driverRoot string) iter.Seq[string] {
	patterns := folders()
	if driverRoot != "" {
		patterns = nil
		for _, dir := range driver.RootDirs(driverRoot) {
			patterns = append(patterns, strings.TrimPrefix(dir, "/"))
		}
		patterns = append(patterns, folders()...)
	}
	return func(yield func(string) bool) {
		for _, pattern := range patterns {
			dirs, _ := fs.Glob(os.DirFS(r.FS), pattern)
			for _, dir := range dirs {
				if !yield(filepath.Join(r.FS, dir)) {
					return
				}
			}
		}
	}
}

// Library is the path of the libnvidia-ml that fits the module, else of any that can be loaded; "" leaves the
// search to the dynamic linker, which on the machine's own file system knows places that we do not. An old
// version that still lies beside a new one is taken when the module is the old one. driverRoot is a folder
// of the machine to look in first, "" for none.
func Library(r gpu.Roots, module, driverRoot string) string {
	other := ""
	for dir := range existing(r, driverRoot) {
		if module != "" {
			if p := filepath.Join(dir, "libnvidia-ml.so."+module); isFile(p) {
				return p
			}
		}
		if p := filepath.Join(dir, "libnvidia-ml.so.1"); other == "" && driver.Loadable(p) {
			other = p
		}
	}
	return other
}

func isFile(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.Mode().IsRegular()
}

// libraryVersion is the version of the driver's libraries on disk: the module's if they have it, else the
// highest. "" if none was found, as with WSL, whose files have no version in their names.
func libraryVersion(r gpu.Roots, module, driverRoot string) string {
	best := ""
	for dir := range existing(r, driverRoot) {
		for _, name := range []string{"libnvidia-ml.so.", "libcuda.so."} {
			if module != "" && isFile(filepath.Join(dir, name+module)) {
				return module
			}
			files, _ := fs.Glob(os.DirFS(dir), name+"*")
			for _, f := range files {
				if v := strings.TrimPrefix(f, name); versionForm.MatchString(v) && older(best, v) {
					best = v
				}
			}
		}
	}
	return best
}

// older compares driver versions: 580.95.05 is older than 580.105.08.
func older(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m < n
		}
	}
	return len(x) < len(y)
}
