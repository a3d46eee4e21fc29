package layer

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// hiddenNames are what the layer hides of those below without the tree showing it: something of this layer is
// in the place of the whiteout, or the folder that it lay in is gone. Either may change with the next entry,
// and whiteouts act whenever they come.
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

// hideAgain makes the whiteouts of a folder that has just been made where one had been before.
func (x *extractor) hideAgain(dir int, name, real string) error {
	if len(x.hidden.m[real]) == 0 {
		return nil
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, n := range x.hidden.takeAll(real) {
		if err := x.hide(place{fd: fd, real: real}, n); err != nil {
			return err
		}
	}
	return nil
}
