package layer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/lend"
)

// node is one thing of a tree, as it goes into a tar.
type node struct {
	path   string // real name; whiteouts and opaque markers have their hidden name or folder
	kind   byte   // f d l h c b p; w whiteout, o opaque
	mode   uint32
	uid    int
	gid    int
	size   int64
	link   string
	major  int64
	minor  int64
	xattrs map[string]string
	fd     int // open for reading, for f
}

// walker goes through a tree in the order of the canonical tar: each folder, then what is in it, names
// in the order of their bytes, whiteouts in the place of what they hide; opaque markers come first.
type walker struct {
	ctx   context.Context
	o     PackOptions
	lend  *lend.Tree
	links map[inodeID]linked // files that have several names of which one was met
	emit  func(*node) error
}

// linked is the first name of a file, as long as others may come.
type linked struct {
	path     string
	mode     uint32
	uid, gid int
	left     uint64
}

type inodeID struct{ dev, ino uint64 }

func walkTree(ctx context.Context, fs string, o PackOptions, emit func(*node) error) (err error) {
	defer func() { err = unchecked(err) }()
	fd, err := unix.Open(fs, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: fs, Err: err}
	}
	defer unix.Close(fd)
	t, err := lend.New(fd, fs)
	if err != nil {
		return err
	}
	defer t.Close()
	hide := newHider(o.Hide, emit)
	w := &walker{ctx: ctx, o: o, lend: t, links: map[inodeID]linked{}, emit: hide.node}
	var root *node
	var opaque bool
	err = t.Look(ctx, fd, "", func() error {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		var err error
		if opaque, err = readOpaque(fd); err == nil {
			root, err = w.inode(fd, "", &st)
		}
		return err
	})
	if err != nil {
		return err
	}
	// Most layers say nothing about the root; so does this one unless there is something to say.
	if root.mode != 0o755 || root.uid|root.gid != 0 || len(root.xattrs) > 0 {
		if err := w.emit(root); err != nil {
			return err
		}
	}
	top, err := dup(fd)
	if err != nil {
		return err
	}
	if err := w.dir(top, "", opaque); err != nil {
		return err
	}
	return hide.close()
}

// atOnce is how many names of a folder are looked at under one lock.
const atOnce = 64

// dir takes over fd.
func (w *walker) dir(fd int, path string, opaque bool) error {
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("read folder %q: %w", path, err)
	}
	slices.Sort(names)
	if opaque {
		if err := w.emit(&node{path: path, kind: 'o'}); err != nil {
			return err
		}
	}
	seen := make([]child, min(len(names), atOnce))
	for some := range slices.Chunk(names, atOnce) {
		if err := w.look(fd, path, some, seen); err != nil {
			return err
		}
		for i, n := range some {
			if err := w.child(fd, join(path, n), n, &seen[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// child is what is seen of a thing from its folder.
type child struct {
	st   unix.Stat_t
	link string
}

// look looks at names in a folder.
func (w *walker) look(dir int, path string, names []string, seen []child) error {
	return w.lend.Look(w.ctx, dir, path, func() error {
		for i, n := range names {
			c := &seen[i]
			if err := unix.Fstatat(dir, n, &c.st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return &os.PathError{Op: "stat", Path: join(path, n), Err: err}
			}
			if c.st.Mode&unix.S_IFMT != unix.S_IFLNK {
				continue
			}
			var err error
			if c.link, err = readlink(dir, n); err != nil {
				return &os.PathError{Op: "readlink", Path: join(path, n), Err: err}
			}
		}
		return nil
	})
}

func (w *walker) child(dir int, path, name string, c *child) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if strings.HasPrefix(name, whPrefix) {
		return fmt.Errorf("a layer cannot hold a file of this name: %q", path)
	}
	st := &c.st
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return nil
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			return w.emit(&node{path: path, kind: 'w'})
		}
	}
	if w.o.Skip != nil && w.o.Skip(path) {
		return nil
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if first, ok := w.links[id(st)]; ok {
			if first.left--; first.left == 0 {
				delete(w.links, id(st))
			} else {
				w.links[id(st)] = first
			}
			// With the attributes of the file: some extractors set those of the link as well.
			return w.emit(&node{path: path, kind: 'h', link: first.path, mode: first.mode, uid: first.uid, gid: first.gid})
		}
		return w.file(dir, path, st)
	case unix.S_IFDIR:
		return w.subdir(dir, path, st)
	}
	n, err := w.inode(-1, path, st)
	if err != nil {
		return err
	}
	if n.kind == 'l' {
		n.link = c.link
	}
	return w.emit(n)
}

func (w *walker) file(dir int, path string, st *unix.Stat_t) error {
	var n *node
	// Attributes ask for the right to read again.
	fd, err := w.lend.Open(w.ctx, dir, path, unix.O_RDONLY|unix.O_NONBLOCK, 0o400, func(fd int) (err error) {
		n, err = w.inode(fd, path, st)
		return err
	})
	if err != nil {
		return opening(path, err)
	}
	if b, ok := w.o.Contents[path]; ok && n.kind == 'f' {
		fd, n.size, err = instead(fd, b)
		n.fd = fd
	}
	if err != nil || n.kind != 'f' {
		unix.Close(fd)
	}
	if err != nil {
		return err
	}
	if st.Nlink > 1 && !w.o.NoHardlinks {
		w.links[id(st)] = linked{path: path, mode: n.mode, uid: n.uid, gid: n.gid, left: uint64(st.Nlink) - 1}
	}
	return w.emit(n) // takes over the descriptor of a file
}

// opening says where, if err does not: a bare number is an error of the file.
func opening(path string, err error) error {
	if _, bare := err.(unix.Errno); bare {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	return err
}

// instead closes fd and gives a descriptor with other contents.
func instead(fd int, b []byte) (int, int64, error) {
	unix.Close(fd)
	mem, err := unix.MemfdCreate("layer", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, 0, err
	}
	for done := 0; done < len(b) && err == nil; {
		var n int
		n, err = unix.Write(mem, b[done:])
		done += max(n, 0)
	}
	return mem, int64(len(b)), err
}

func (w *walker) subdir(dir int, path string, st *unix.Stat_t) error {
	var n *node
	var opaque bool
	inherit := w.o.owner(path).Inherit
	fd, err := w.lend.Open(w.ctx, dir, path, unix.O_RDONLY|unix.O_DIRECTORY, 0o400, func(fd int) (err error) {
		if opaque, err = readOpaque(fd); err == nil && !inherit {
			n, err = w.inode(fd, path, st)
		}
		return err
	})
	if err != nil {
		return opening(path, err)
	}
	if !inherit {
		if err := w.emit(n); err != nil {
			unix.Close(fd)
			return err
		}
	}
	return w.dir(fd, path, opaque)
}

// readOpaque fails only for lack of the right to read.
func readOpaque(fd int) (bool, error) {
	v, err := getXattr(fd, opaqueXattr)
	if err == unix.EACCES {
		return false, err
	}
	return err == nil && string(v) == "y", nil
}

func id(st *unix.Stat_t) inodeID { return inodeID{uint64(st.Dev), st.Ino} }

// inode puts together what the file has and what the index says.
func (w *walker) inode(fd int, path string, st *unix.Stat_t) (*node, error) {
	own := w.o.owner(path)
	n := &node{path: path, mode: st.Mode & 0o7777, uid: own.UID, gid: own.GID, fd: fd}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		n.kind, n.size = 'f', st.Size
	case unix.S_IFDIR:
		n.kind = 'd'
	case unix.S_IFLNK:
		n.kind, n.mode = 'l', 0o777
	case unix.S_IFIFO:
		n.kind = 'p'
	case unix.S_IFCHR, unix.S_IFBLK:
		return nil, fmt.Errorf("a device node in the tree: %q", path)
	default:
		return nil, fmt.Errorf("a file of unknown type: %q", path)
	}
	if own.Device != 0 && n.kind == 'f' && n.size == 0 {
		n.kind, n.major, n.minor = own.Device, own.Major, own.Minor
	}
	if fd >= 0 {
		var err error
		if n.xattrs, err = readXattrs(fd); err != nil {
			return nil, fmt.Errorf("read the attributes of %q: %w", path, err)
		}
	}
	for k, v := range own.Xattrs {
		if n.xattrs == nil {
			n.xattrs = map[string]string{}
		}
		n.xattrs[k] = v
	}
	return n, nil
}

// unchecked tells what stands in the way of reading from errors of what was to be read.
func unchecked(err error) error {
	var le *lend.Error
	if errors.As(err, &le) {
		var full *store.SpaceError
		if err = store.Space(err, "write", le.Path); !errors.As(err, &full) {
			err = hint.With(err, "see to it that you can write in "+filepath.Dir(le.Path)+", where modes are noted that are changed to read a file")
		}
		return fmt.Errorf("%w: %w", store.ErrUnchecked, err)
	}
	return err
}

// readXattrs reads what belongs into a layer: user.* without those of overlays and of our own, and
// capabilities.
func readXattrs(fd int) (map[string]string, error) {
	var buf [4096]byte
	list := buf[:]
	n, err := unix.Flistxattr(fd, list)
	if err == unix.ERANGE {
		list = make([]byte, 64<<10)
		n, err = unix.Flistxattr(fd, list)
	}
	if err == unix.EOPNOTSUPP || n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out map[string]string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if name != "security.capability" && (!strings.HasPrefix(name, "user.") || dropped(name)) {
			continue
		}
		v, err := getXattr(fd, name)
		if err != nil {
			return nil, err
		}
		if name == "security.capability" {
			v = capV2(v)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = string(v)
	}
	return out, nil
}

func getXattr(fd int, name string) ([]byte, error) {
	var small [256]byte
	n, err := unix.Fgetxattr(fd, name, small[:])
	if err == nil {
		return slices.Clone(small[:n]), nil
	}
	if !errors.Is(err, unix.ERANGE) {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	n, err = unix.Fgetxattr(fd, name, buf)
	return buf[:max(n, 0)], err
}

// capV2 takes the user namespace out of file capabilities: revision 3 is revision 2 with the id of the
// namespace's root after it, which means nothing elsewhere.
func capV2(v []byte) []byte {
	const revision2, revision3 = 0x02000000, 0x03000000
	if len(v) == 24 && binary.LittleEndian.Uint32(v)&0xff000000 == revision3 {
		v = v[:20]
		magic := binary.LittleEndian.Uint32(v)&0x00ffffff | revision2
		binary.LittleEndian.PutUint32(v, magic)
	}
	return v
}
