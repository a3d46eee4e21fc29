package layer

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// InheritLayer puts folders right that a layer has only because something lies in them. They should
// have the mode and the user.* attributes that the layers below give them, but a layer is shared by images
// and cannot know. layers are the folders (with fs/ and tar/) of an image's layers, bottom first. If any
// folder would show something wrong, fs, an empty folder, gets a tree of folders alone, to be stacked on
// top of all; times are those that show. n is how many it has.
//
// More of such folders than o.Memory can hold is a *[LimitError].
func InheritLayer(ctx context.Context, fs string, layers []string, o Limits) (n int, err error) {
	in := &inheritance{s: newSummer(), left: o.WithDefaults().Memory, limit: o.WithDefaults().Memory, make: map[string]folderAttrs{}}
	var trees []string
	for _, l := range layers {
		trees = append(trees, filepath.Join(l, "fs"))
		set, err := in.read(ctx, l)
		if err != nil {
			return 0, err
		}
		in.inherits = append(in.inherits, set)
	}
	in.stack = NewStack(trees)
	defer in.stack.Close()
	for i, l := range layers {
		if len(in.inherits[i]) == 0 {
			continue
		}
		err := eachOwner(l, "i", func(line ownerLine) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return in.look(i, line.path)
		})
		if err != nil {
			return 0, err
		}
	}
	return len(in.make), makeFolders(ctx, fs, in.make)
}

type inheritance struct {
	s        summer
	stack    *Stack
	inherits []map[pathSum]struct{} // by layer: the folders without an entry of their own
	make     map[string]folderAttrs

	abovePath string // the folder above the last one that was looked for
	above     hit

	left, limit int64 // bytes of memory, about
}

// folderAttrs are what a folder shows.
type folderAttrs struct {
	mode   uint32
	mtime  unix.Timespec
	xattrs map[string]string // user.*, without those of overlays
}

func (a folderAttrs) like(b folderAttrs) bool {
	return a.mode == b.mode && maps.Equal(a.xattrs, b.xattrs)
}

// spend takes memory for something to remember.
func (in *inheritance) spend(n int) error {
	if in.left -= int64(n); in.left < 0 {
		return &LimitError{What: "image", Key: "memory", Limit: in.limit}
	}
	return nil
}

func (in *inheritance) read(ctx context.Context, layer string) (map[pathSum]struct{}, error) {
	set := map[pathSum]struct{}{}
	return set, eachOwner(layer, "inr", func(l ownerLine) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		sum := in.s.sum(l.path)
		if l.op != 'i' {
			delete(set, sum)
			return nil
		}
		set[sum] = struct{}{}
		return in.spend(40)
	})
}

// look compares what the folder at path, which layer i has without an entry, shows and should show.
func (in *inheritance) look(i int, path string) error {
	if _, ok := in.inherits[i][in.s.sum(path)]; !ok {
		return nil // another entry took its place
	}
	h, ok := in.find(path)
	if !ok || h.layers[0] != i { // what an upper layer shows is looked at there
		return nil
	}
	shown, right, err := in.attrs(h, path)
	if err != nil || shown.like(right) {
		return err
	}
	for p := path; ; p, _ = split(p) {
		if _, ok := in.make[p]; ok {
			return nil
		}
		h, ok := in.find(p)
		if !ok {
			return nil
		}
		if _, right, err = in.attrs(h, p); err != nil {
			return err
		}
		in.make[p] = right
		n := len(p) + remembered
		for k, v := range right.xattrs {
			n += len(k) + len(v) + remembered
		}
		if err := in.spend(n); err != nil || p == "" {
			return err
		}
	}
}

// find is the folder at path, unless something else is there, or a link leads there. Paths come folder by
// folder, so the one above is mostly known.
func (in *inheritance) find(path string) (hit, bool) {
	above, base := split(path)
	if base == "" {
		h, err := in.stack.top()
		return h, err == nil
	}
	if in.above.layers == nil || in.abovePath != above {
		h, err := in.stack.folder(above)
		if err != nil {
			return hit{}, false
		}
		in.abovePath, in.above = above, h
	}
	h, err := in.stack.lookup(in.above.layers, path)
	return h, err == nil && h.info.IsDir()
}

// attrs are those that the folder shows and those that it should. The time stays the one that shows, of
// whatever was put into it last.
func (in *inheritance) attrs(h hit, path string) (shown, right folderAttrs, err error) {
	if shown, err = in.stack.folderAttrs(h.layers[0], path); err != nil {
		return shown, right, err
	}
	right = shown
	for _, i := range h.layers {
		if _, ok := in.inherits[i][in.s.sum(path)]; ok {
			continue
		}
		if i != h.layers[0] {
			if right, err = in.stack.folderAttrs(i, path); err != nil {
				return shown, right, err
			}
			right.mtime = shown.mtime
		}
		break
	}
	return shown, right, nil
}

// folderAttrs are those that one layer has for a folder. Attributes of one that its owner may not read are
// not seen.
func (s *Stack) folderAttrs(layer int, real string) (a folderAttrs, err error) {
	root, err := s.root(layer)
	if err != nil {
		return a, err
	}
	fd, err := s.openAt(root, real, openDirFlags|unix.O_NOFOLLOW)
	if err != nil {
		return a, &fs.PathError{Op: "open", Path: filepath.Join(s.dirs[layer], real), Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return a, err
	}
	a = folderAttrs{mode: st.Mode & 0o7777, mtime: unix.Timespec(st.Mtim)}
	var names [1]byte // most have none: asked for by size alone
	path := "/proc/self/fd/" + strconv.Itoa(fd)
	if n, err := unix.Listxattr(path, names[:0]); err != nil || n == 0 {
		return a, nil
	}
	f, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.EACCES {
		return a, nil
	}
	if err != nil {
		return a, &fs.PathError{Op: "open", Path: real, Err: err}
	}
	defer unix.Close(f)
	a.xattrs, err = readXattrs(f)
	delete(a.xattrs, "security.capability")
	return a, err
}

// makeFolders gives the inner ones their attributes first.
func makeFolders(ctx context.Context, root string, folders map[string]folderAttrs) error {
	paths := slices.Sorted(maps.Keys(folders))
	for _, p := range paths {
		if err := os.MkdirAll(filepath.Join(root, p), 0o755); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for _, p := range slices.Backward(paths) {
		a, path := folders[p], filepath.Join(root, p)
		for k, v := range a.xattrs {
			// One that fits into a folder of the layer below fits here, on the same file system.
			if err := unix.Setxattr(path, k, []byte(v), 0); err != nil {
				return &os.PathError{Op: "set an attribute of", Path: path, Err: err}
			}
		}
		times := []unix.Timespec{{Nsec: utimeOmit}, a.mtime}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &os.PathError{Op: "set the time of", Path: path, Err: err}
		}
		if err := syscall.Chmod(path, a.mode); err != nil {
			return &os.PathError{Op: "chmod", Path: path, Err: err}
		}
	}
	return nil
}
