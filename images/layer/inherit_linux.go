package layer

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// InheritLayer puts folders right that a layer has only because something lies in them. They should
// have the mode that the layers below give them, but a layer is shared by images and cannot know. layers
// are the folders (with fs/ and tar/) of an image's layers, bottom first. If any folder would show a
// wrong mode, fs, an empty folder, gets a tree of folders alone, to be stacked on top of all. n is how
// many it has.
func InheritLayer(ctx context.Context, fs string, layers []string) (n int, err error) {
	trees := make([]string, len(layers))
	inherits := make([]map[string]bool, len(layers))
	all := map[string]bool{}
	for i, l := range layers {
		trees[i] = filepath.Join(l, "fs")
		owners, err := ReadOwners(l)
		if err != nil {
			return 0, err
		}
		inherits[i] = map[string]bool{}
		for path, o := range owners {
			if o.Inherit {
				inherits[i][path] = true
				all[path] = true
			}
		}
	}
	in := &inheritance{stack: NewStack(trees), inherits: inherits}
	defer in.stack.Close()
	modes := map[string]uint32{}
	for path := range all {
		shown, right, ok := in.modes(path)
		if !ok || shown == right {
			continue
		}
		for p := path; ; p, _ = split(p) {
			if _, right, ok := in.modes(p); ok {
				modes[p] = right
			}
			if p == "" {
				break
			}
		}
	}
	return len(modes), makeFolders(fs, modes)
}

type inheritance struct {
	stack    *Stack
	inherits []map[string]bool
}

// modes are the one that the folder at path shows and the one that it should.
func (in *inheritance) modes(path string) (shown, right uint32, ok bool) {
	real, h, err := in.stack.resolve("stat", path, false)
	if err != nil || real != path || !h.info.IsDir() {
		return 0, 0, false
	}
	shown = permissions(h.info)
	right = shown
	for _, i := range h.layers {
		if in.inherits[i][path] {
			continue
		}
		if hit, err := in.stack.lookup([]int{i}, path); err == nil {
			right = permissions(hit.info)
		}
		break
	}
	return shown, right, true
}

func permissions(fi fs.FileInfo) uint32 { return fi.Sys().(*syscall.Stat_t).Mode & 0o7777 }

// makeFolders gives the inner ones their modes first.
func makeFolders(root string, modes map[string]uint32) error {
	paths := slices.Sorted(maps.Keys(modes))
	for _, p := range paths {
		if err := os.MkdirAll(filepath.Join(root, p), 0o755); err != nil {
			return err
		}
	}
	for _, p := range slices.Backward(paths) {
		if err := unix.Chmod(filepath.Join(root, p), modes[p]); err != nil {
			return &os.PathError{Op: "chmod", Path: filepath.Join(root, p), Err: err}
		}
	}
	return nil
}
