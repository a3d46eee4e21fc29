package layer

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// dirAttrs is what a folder gets when nothing more is put into it.
type dirAttrs struct {
	mode      uint32
	inherit   bool // it has no entry of its own
	recalled  bool // it was finished before; whether it inherits is in the index of owners alone
	sec, nsec int64
}

// closed: its owner cannot work in it when it has its mode.
func (a dirAttrs) closed() bool { return a.mode&0o700 != 0o700 }

// folders are those whose attributes are still to be set, by real path.
type folders struct {
	m    map[string]dirAttrs
	size int64 // bytes, about
}

// flushAt is how many bytes folders may take before those that can be finished are: 130 000 of them with
// long names.
const flushAt = 32 << 20

func (f *folders) set(path string, a dirAttrs) {
	if _, ok := f.m[path]; !ok {
		f.size += int64(len(path)) + remembered
	}
	f.m[path] = a
}

func (f *folders) drop(path string) {
	if _, ok := f.m[path]; ok {
		f.size -= int64(len(path)) + remembered
		delete(f.m, path)
	}
}

// within keeps what has to be remembered bounded, before an entry is begun.
func (x *extractor) within() error {
	if x.pending.size > x.flushAt {
		if err := x.flush(); err != nil {
			return err
		}
		// What stays does not shrink by another try soon.
		x.flushAt = max(x.flushFrom, 2*x.pending.size)
	}
	return x.full()
}

// full is a *LimitError if there is more to remember than may be.
func (x *extractor) full() error {
	if x.pending.size+x.moved.size+x.hidden.size+x.union.size > x.limits.Memory {
		return &LimitError{What: "layer", Key: "memory", Limit: x.limits.Memory}
	}
	return nil
}

// flush finishes every folder but the root and those that are closed to their owner, in whatever order:
// one that can be entered hides nothing. Should more be put into a finished folder, its attributes are
// those that it has by then: see recall.
func (x *extractor) flush() error {
	var open []string
	for path, a := range x.pending.m {
		if path != "" && !a.closed() {
			open = append(open, path)
		}
	}
	slices.Sort(open) // by place on the disk, more or less
	x.flushed = true
	return x.finishDirs(open)
}

// recall notes the attributes of a finished folder before something is put into it.
func (x *extractor) recall(real string, fd int) error {
	if !x.flushed || x.finishing {
		return nil
	}
	if _, ok := x.pending.m[real]; ok {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	x.pending.set(real, dirAttrs{mode: st.Mode & 0o7777, recalled: true, sec: st.Mtim.Sec, nsec: st.Mtim.Nsec})
	return nil
}

// inheritsNot: nothing is left for the folder to inherit from.
func (x *extractor) inheritsNot(real string) {
	a, ok := x.pending.m[real]
	if ok {
		a.inherit = false
		x.pending.set(real, a)
	}
	if x.owners != nil && x.flushed && (!ok || a.recalled) {
		x.owners.inheritsNot(real)
	}
}

// finish gives the folders their attributes, the inner ones first, since a folder without permissions
// hides what is in it.
func (x *extractor) finish() error {
	if err := x.hideAtEnd(); err != nil {
		return err
	}
	if err := x.dropUnion(); err != nil {
		return err
	}
	if len(x.pending.m) == 0 {
		x.pending.set("", dirAttrs{mode: 0o755, inherit: true})
	}
	paths := make([]string, 0, len(x.pending.m))
	for p := range x.pending.m {
		paths = append(paths, p)
	}
	slices.Sort(paths) // a parent sorts before what is in it
	slices.Reverse(paths)
	return x.finishDirs(paths)
}

// finishDirs sets the attributes of pending folders, in this order, and forgets them.
func (x *extractor) finishDirs(paths []string) error {
	x.forgetDirs()
	x.closeForgotten()
	x.finishing = true
	for _, path := range paths {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		a := x.pending.m[path]
		if err := x.finishDir(path, a); err != nil {
			return x.fail(path, "finish", err)
		}
		if a.inherit {
			x.info.Inherited = true
			if x.owners != nil {
				x.owners.put(path, Owner{Inherit: true})
			}
		}
		x.pending.drop(path)
	}
	x.forgetDirs()
	x.closeForgotten()
	x.finishing = false
	return nil
}

func (x *extractor) finishDir(path string, a dirAttrs) error {
	dirName, base := split(path)
	p := place{fd: x.root}
	if path == "" {
		base = "."
		// What is above it in a sandbox hides its mode, but whoever looks in from outside needs to get in.
		a.mode |= 0o700
	} else {
		var err error
		if p, err = x.parent(dirName, &entry{}); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstatat(p.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return errors.New("not a directory any more")
	}
	if err := setTimeAt(p.fd, base, a.sec, a.nsec); err != nil {
		return err
	}
	if st.Mode&0o7777 == a.mode {
		return nil
	}
	fd, err := unix.Openat(p.fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fchmod(fd, a.mode)
}
