package sandbox

import (
	"maps"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/sandbox/owner"
)

// lowerLayer is one layer below a writable one.
type lowerLayer struct {
	fs     string
	owners layer.Owners
}

// ownersOver gives the owners of a writable layer: what is remembered of chown, else those that the same
// path has in the layers below (folders of the store, bottom first), else root.
func ownersOver(upper string, below []string, remembered map[string]owner.Owner) (layer.Owners, error) {
	w := &ownerWalk{remembered: remembered, out: layer.Owners{}}
	var stack []*lowerLayer // top first, as they are looked at
	for i := len(below) - 1; i >= 0; i-- {
		owners, err := layer.ReadOwners(below[i])
		if err != nil {
			return nil, err
		}
		stack = append(stack, &lowerLayer{filepath.Join(below[i], "fs"), owners})
	}
	if err := w.note("", 0, ownerBelow(stack, "")); err != nil {
		return nil, err
	}
	return w.out, w.dir(upper, "", opaqueCut(upper, stack))
}

type ownerWalk struct {
	remembered map[string]owner.Owner
	out        layer.Owners
}

// dir looks at a folder of the writable layer; stack are the layers below that show through at it.
func (w *ownerWalk) dir(upper, path string, stack []*lowerLayer) error {
	entries, err := os.ReadDir(filepath.Join(upper, path))
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := strings.TrimPrefix(path+"/"+e.Name(), "/")
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(upper, p), &st); err != nil {
			return &os.PathError{Op: "stat", Path: p, Err: err}
		}
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
			continue
		}
		at := showing(stack, p)
		if err := w.note(p, st.Size, ownerBelow(at, p)); err != nil {
			return err
		}
		if e.IsDir() {
			if err := w.dir(upper, p, opaqueCut(filepath.Join(upper, p), dirsOf(at, p))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *ownerWalk) note(path string, size int64, below layer.Owner) error {
	o := owner.Owner{UID: -1, GID: -1}
	if r, ok := w.remembered[path]; ok {
		o = r
	}
	o = o.Over(owner.Owner{UID: below.UID, GID: below.GID})
	n := layer.Owner{UID: o.UID, GID: o.GID}
	if size == 0 { // a device node that was copied up is still the placeholder that it was
		n.Device, n.Major, n.Minor = below.Device, below.Major, below.Minor
	}
	for k, v := range below.Xattrs {
		if k == "security.capability" { // the kernel takes it from a file that is written to
			continue
		}
		if n.Xattrs == nil {
			n.Xattrs = map[string]string{}
		}
		n.Xattrs[k] = v
	}
	if n.UID|n.GID != 0 || n.Device != 0 || n.Xattrs != nil {
		w.out[path] = layer.Owner{UID: n.UID, GID: n.GID, Device: n.Device, Major: n.Major, Minor: n.Minor, Xattrs: maps.Clone(n.Xattrs)}
	}
	return nil
}

// showing are the layers that have something at path, down to the first that hides what is below it.
func showing(stack []*lowerLayer, path string) []*lowerLayer {
	var out []*lowerLayer
	for _, l := range stack {
		var st unix.Stat_t
		if unix.Lstat(filepath.Join(l.fs, path), &st) != nil {
			continue
		}
		kind := st.Mode & unix.S_IFMT
		if kind == unix.S_IFCHR && st.Rdev == 0 {
			break
		}
		if len(out) > 0 && kind != unix.S_IFDIR {
			break
		}
		out = append(out, l)
		if kind != unix.S_IFDIR || opaque(filepath.Join(l.fs, path)) {
			break
		}
	}
	return out
}

// dirsOf is stack if path is a folder in it: nothing shows through anything else.
func dirsOf(stack []*lowerLayer, path string) []*lowerLayer {
	if len(stack) == 0 {
		return nil
	}
	if fi, err := os.Lstat(filepath.Join(stack[0].fs, path)); err != nil || !fi.IsDir() {
		return nil
	}
	return stack
}

// ownerBelow is what the uppermost layer says that has an entry of its own for path.
func ownerBelow(stack []*lowerLayer, path string) layer.Owner {
	for _, l := range stack {
		if o := l.owners[path]; !o.Inherit {
			return o
		}
	}
	return layer.Owner{}
}

// opaqueCut is what shows through a folder of the writable layer.
func opaqueCut(dir string, stack []*lowerLayer) []*lowerLayer {
	if opaque(dir) {
		return nil
	}
	return stack
}

func opaque(dir string) bool {
	var b [4]byte
	n, err := unix.Lgetxattr(dir, "user.overlay.opaque", b[:])
	return err == nil && string(b[:n]) == "y"
}
