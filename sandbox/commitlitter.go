package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/gpu/driver/ldcache"
	"github.com/4cc2e759/sandbox/sandbox/plan"
)

// Folders whose contents are never part of an image: what is mounted over them while a sandbox runs, and
// caches that can be made again.
var emptied = []string{"dev", "proc", "sys", "tmp", "run/sandbox", "var/tmp", "var/lib/apt/lists", "var/cache/apt", "root/.cache", "var/cache/ldconfig", "var/cache/man", "var/cache/fontconfig"}

// litter tells what of a writable layer stays behind at a commit. A path has no slash at its beginning.
func litter(p string) bool {
	if path.Base(p) == "__pycache__" { // made again; its times would fit nothing. What it hides stays hidden: build.StaleBytecode
		return true
	}
	if p == strings.TrimPrefix(plan.Run, "/") {
		return true
	}
	if dir, rest, ok := strings.Cut(p, "/"); ok && dir == "home" {
		if _, rest, _ := strings.Cut(rest, "/"); strings.HasPrefix(rest, ".cache/") {
			return true
		}
	}
	return slices.ContainsFunc(emptied, func(dir string) bool { return strings.HasPrefix(p, dir+"/") })
}

const loaderCache = "etc/ld.so.cache"

// withoutOurs gives the loader's cache without the driver's libraries that we bind: they are of this
// machine, and nowhere in the image.
func withoutOurs(upper string) (map[string][]byte, error) {
	root, err := os.OpenRoot(upper)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	fi, err := root.Lstat(loaderCache)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!fi.Mode().IsRegular() || fi.Size() > ldcache.MaxSize) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	b, err := root.ReadFile(loaderCache)
	if err != nil {
		return nil, err
	}
	entries, err := ldcache.Parse(b)
	if err != nil {
		return nil, nil // whatever it is, nothing of it is ours
	}
	rest := slices.DeleteFunc(slices.Clone(entries), func(e ldcache.Entry) bool { return strings.HasPrefix(e.Path, plan.Run+"/") })
	if len(rest) == len(entries) {
		return nil, nil
	}
	return map[string][]byte{loaderCache: ldcache.Write(rest)}, nil
}
