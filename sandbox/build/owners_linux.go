package build

import (
	"archive/tar"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/sandbox/owner"
)

// lowerLayer is one layer below a writable one.
type lowerLayer struct {
	fs     string
	owners layer.OwnersOf
}

// OwnersOver gives the owners of a writable layer: what is remembered of chown, else those that the same
// path has in the layers below (folders of the store, bottom first; without those that are derived), else root.
func OwnersOver(upper string, below []string, remembered map[string]owner.Owner) (layer.Owners, error) {
	w := &ownerWalk{remembered: remembered, out: layer.Owners{}}
	for i := len(below) - 1; i >= 0; i-- {
		owners, err := layer.ReadOwners(below[i])
		if err != nil {
			return nil, err
		}
		w.below = append(w.below, &lowerLayer{filepath.Join(below[i], "fs"), owners})
	}
	return w.out, owner.Walk(upper, w.visit)
}

// ownerWalk goes through a writable layer.
type ownerWalk struct {
	underlay
	remembered map[string]owner.Owner
	out        layer.Owners
}

// underlay follows a walk through a writable layer, folders before what they hold, and knows what shows through it.
type underlay struct {
	below  []*lowerLayer // top first, as they are looked at
	within []within      // the folders that we are in, outermost first
}

// through are the layers that would show what they have at path, if the writable layer did not have something
// there.
func (u *underlay) through(path string) []*lowerLayer {
	if path == "" {
		return u.below
	}
	for in := u.within[len(u.within)-1].path; in != "" && !strings.HasPrefix(path, in+"/"); in = u.within[len(u.within)-1].path {
		u.within = u.within[:len(u.within)-1]
	}
	return showing(u.within[len(u.within)-1].stack, path)
}

// enter notes that the folder at path comes next; below are the layers through it.
func (u *underlay) enter(at, path string, below []*lowerLayer) {
	u.within = append(u.within, within{path, opaqueCut(at, dirsOf(below, path))})
}

// within is a folder of the writable layer, and the layers below that show through it.
type within struct {
	path  string
	stack []*lowerLayer
}

func (w *ownerWalk) visit(at, path string, st *unix.Statx_t) error {
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFCHR && st.Rdev_major == 0 && st.Rdev_minor == 0 { // a whiteout
		return nil
	}
	below := w.through(path)
	var was layer.Owner
	if copied(at, kind, below, path) {
		was = ownerBelow(below, path)
	}
	w.note(path, st.Size, was)
	if kind == unix.S_IFDIR {
		w.enter(at, path, below)
	}
	return nil
}

func (w *ownerWalk) note(path string, size uint64, below layer.Owner) {
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
		w.out[path] = n
	}
}

// copied tells what is a copy of what the layers below have from what took its place and is somebody
// else's. Overlayfs notes where a copy came from, but not for files with several names (and on nothing that
// cannot have attributes): of these the owner below counts.
func copied(at string, kind uint16, below []*lowerLayer, path string) bool {
	if len(below) == 0 || kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return len(below) > 0
	}
	if _, err := unix.Lgetxattr(at, "user.overlay.origin", nil); err == nil || path == "" {
		return true
	}
	var st unix.Stat_t
	return kind == unix.S_IFREG && unix.Lstat(filepath.Join(below[0].fs, path), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1
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
		if o := l.owners.Owner(path); !o.Inherit {
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

// rememberFolders notes whose the folders of an unpacked .deb are: dpkg lets a folder be that it finds, and
// so does not say it.
func rememberFolders(root *os.File, entries []deb.Entry) error {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for _, e := range entries {
		if e.Typeflag != tar.TypeDir || e.UID|e.GID == 0 {
			continue
		}
		fd, err := unix.Openat2(int(root.Fd()), e.Name, &how)
		for err == unix.EAGAIN { // the kernel saw a rename meanwhile
			fd, err = unix.Openat2(int(root.Fd()), e.Name, &how)
		}
		if err != nil {
			return &os.PathError{Op: "open", Path: e.Name, Err: err}
		}
		err = unix.Fsetxattr(fd, owner.Attr, []byte(owner.Owner{UID: e.UID, GID: e.GID}.String()), 0)
		unix.Close(fd)
		if err != nil {
			return &os.PathError{Op: "setxattr", Path: e.Name, Err: err}
		}
	}
	return nil
}

// removeBytecode deletes __pycache__: it holds times of this machine, and the bytecode layer has it.
func removeBytecode(root string) error {
	return owner.Walk(root, func(at, p string, st *unix.Statx_t) error {
		if path.Base(p) != "__pycache__" || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return nil
		}
		if err := store.RemoveAll(at); err != nil {
			return err
		}
		return fs.SkipDir
	})
}
