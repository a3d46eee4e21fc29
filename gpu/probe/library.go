package probe

import (
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// folders are where drivers put their libraries, most usual first: distributions, Debian's own packages,
// NixOS and Guix, Kubernetes machines, Flatcar, WSL.
func folders() []string {
	return []string{
		"usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib", "usr/lib/*/nvidia/*", "usr/lib64/nvidia", "usr/lib/nvidia*",
		"run/opengl-driver/lib", "usr/local/nvidia/lib64", "home/kubernetes/bin/nvidia/lib64", "var/lib/nvidia/lib64", "opt/nvidia/lib64", "usr/lib/wsl/lib",
	}
}

// Library is the path of the libnvidia-ml that fits the module, else of any; "" leaves the search to the
// dynamic linker, which knows more places than we do on the machine's own file system. An old version
// that still lies beside a new one is taken when the module is the old one.
func Library(r gpu.Roots, module string) string {
	any := ""
	for _, dir := range existing(r) {
		if module != "" {
			if p := filepath.Join(dir, "libnvidia-ml.so."+module); isFile(p) {
				return p
			}
		}
		if p := filepath.Join(dir, "libnvidia-ml.so.1"); any == "" && isFile(p) {
			any = p
		}
	}
	if filepath.Clean(r.FS) == "/" && !strings.HasPrefix(any, "/usr/lib/wsl/") {
		return ""
	}
	return any
}

func existing(r gpu.Roots) []string {
	var out []string
	for _, pattern := range folders() {
		dirs, _ := filepath.Glob(filepath.Join(r.FS, pattern))
		out = append(out, dirs...)
	}
	return out
}

func isFile(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.Mode().IsRegular()
}

// libraryVersion is the version of the driver's libraries on disk: the module's if they have it, else the
// highest. "" if none was found, as with WSL, whose files have no version in their names.
func libraryVersion(r gpu.Roots, module string) string {
	var versions []string
	for _, dir := range existing(r) {
		for _, name := range []string{"libnvidia-ml.so.", "libcuda.so."} {
			files, _ := filepath.Glob(filepath.Join(dir, name+"*"))
			for _, f := range files {
				v := strings.TrimPrefix(filepath.Base(f), name)
				if v == module && v != "" {
					return v
				}
				if versionForm.MatchString(v) {
					versions = append(versions, v)
				}
			}
		}
	}
	if len(versions) == 0 {
		return ""
	}
	sort.Strings(versions)
	return versions[len(versions)-1]
}
