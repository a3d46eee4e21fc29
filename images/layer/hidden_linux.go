package layer

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// hiddenNames are what the layer hides of those below without the tree showing it: something of this layer is
// in the place of the whiteout, or the folder that it lay in is gone. Either may change with a later entry, and
// whiteouts act whenever they come. Of an opaque folder that is gone the name stays hidden.
type hiddenNames struct {
	m    map[string]map[string]struct{} // last components by the folder's real path
	size int64                          // bytes, about
}

func (h *hiddenNames) add(dir, base string) {
	if h.m == nil {
		h.m = map[string]map[string]struct{}{}
	}
	names := h.m[dir]
	if names == nil {
		names = map[string]struct{}{}
		h.m[dir] = names
		h.size += int64(len(dir)) + 4*remembered // a map is large
	}
	if _, ok := names[base]; !ok {
		names[base] = struct{}{}
		h.size += int64(len(base)) + remembered
	}
}

// take says whether the name is hidden, and forgets it.
func (h *hiddenNames) take(dir, base string) bool {
	names := h.m[dir]
	if _, ok := names[base]; !ok {
		return false
	}
	delete(names, base)
	h.size -= int64(len(base)) + remembered
	if len(names) == 0 {
		h.drop(dir)
	}
	return true
}

// takeAll gives the names of a folder and forgets them.
func (h *hiddenNames) takeAll(dir string) []string {
	names := slices.Sorted(maps.Keys(h.m[dir]))
	for _, n := range names {
		h.take(dir, n)
	}
	return names
}

func (h *hiddenNames) drop(dir string) {
	delete(h.m, dir)
	h.size -= int64(len(dir)) + 4*remembered
}

// hideAtEnd makes the whiteouts that are missing, with the folders that they lie in.
func (x *extractor) hideAtEnd() error {
	for _, dir := range slices.Sorted(maps.Keys(x.hidden.m)) {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		needed, err := x.shows(dir)
		if err != nil {
			return x.fail(dir, "make a whiteout", err)
		}
		if !needed {
			continue
		}
		x.closeForgotten()
		p, err := x.parent(dir, &x.cause)
		if err != nil {
			return fmt.Errorf("entry %q: %w", shown(dir), err)
		}
		for _, n := range x.hidden.takeAll(dir) {
			if err := x.hide(p, n); err != nil {
				return x.fail(join(dir, n), "make a whiteout", err)
			}
		}
	}
	return nil
}

// shows: something of the layers below may be seen in the folder, unless whiteouts in it say otherwise. A file or a
// link of this layer in the place of a folder hides by itself, and what is missing in an opaque one is hidden.
func (x *extractor) shows(dir string) (bool, error) {
	for q := dir; q != ""; q, _ = split(q) {
		fd, err := openBeneath(x.root, q, openDirFlags)
		switch err {
		case nil:
			if q == dir {
				unix.Close(fd)
				return true, nil // made as told, whether needed or not
			}
			opaque := isOpaque(fd)
			unix.Close(fd)
			if opaque {
				return false, nil
			}
		case unix.ENOENT:
		case unix.ENOTDIR, unix.ELOOP:
			return false, nil
		default:
			return false, err
		}
	}
	return dir == "" || !x.info.OpaqueRoot, nil
}
