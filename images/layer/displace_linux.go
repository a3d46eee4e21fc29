package layer

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

type was int

const (
	wasOther  was = iota
	wasDir        // and still is: the new entry is one too
	wasHidden     // the new entry is a directory, of a name that the layer hides
)

// displace makes room for e under base: the later of two entries wins. Contents that the tar cannot be
// put together without are moved aside.
func (x *extractor) displace(p place, base string, e *entry) (was, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(p.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0, x.fail(e.name, "replace", err)
	}
	real := join(p.real, base)
	if x.owners != nil {
		x.owners.forget(real)
	}
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFDIR && e.kind == tar.TypeDir {
		return wasDir, nil
	}
	var err error
	switch kind {
	case unix.S_IFDIR:
		err = x.displaceTree(p, base, real)
	default:
		err = x.displaceFile(p.fd, base, real, &st)
	}
	if err != nil {
		return 0, x.fail(e.name, "replace", err)
	}
	if kind == unix.S_IFDIR || kind == unix.S_IFLNK {
		x.forgetDirs()
	}
	if kind == unix.S_IFCHR {
		x.hidden.add(p.real, base)
	}
	if e.kind == tar.TypeDir && x.hidden.take(p.real, base) {
		return wasHidden, nil
	}
	return wasOther, nil
}

func (x *extractor) displaceFile(dir int, base, real string, st *unix.Stat_t) error {
	if !x.side || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size == 0 {
		return unix.Unlinkat(dir, base, 0)
	}
	kept := filepath.Join(x.dir, keptDir)
	if len(x.moved.kept) == 0 {
		if err := os.Mkdir(kept, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	n := x.moved.keep(x.files, real)
	return unix.Renameat(dir, base, unix.AT_FDCWD, filepath.Join(kept, strconv.Itoa(n)))
}

// displaceTree empties and removes a folder, depth first. Neither its depth nor how much is in it must cost
// memory or descriptors: each folder is opened anew, by a path that we have just read from the tree, until
// nothing is left in it.
func (x *extractor) displaceTree(p place, base, real string) error {
	fd, err := unix.Openat(p.fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for path := ""; ; {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		sub, done, err := x.displaceFiles(fd, path, real)
		switch {
		case err != nil:
			return err
		case sub != "":
			path = sub
			continue
		case !done:
			continue
		}
		gone := strings.TrimSuffix(real+"/"+path, "/")
		x.pending.drop(gone)
		x.hides.forget(gone)
		if x.owners != nil {
			x.owners.forget(gone)
		}
		if path == "" {
			return unix.Unlinkat(p.fd, base, unix.AT_REMOVEDIR)
		}
		up, name := split(path)
		d, err := x.sub(fd, up, unix.O_PATH)
		if err != nil {
			return err
		}
		err = unix.Unlinkat(d, name, unix.AT_REMOVEDIR)
		unix.Close(d)
		if err != nil {
			return err
		}
		path = up
	}
}

// sub opens a folder below root.
func (x *extractor) sub(root int, path string, flags int) (int, error) {
	if path == "" {
		path = "."
	}
	return openBeneath(root, path, flags|unix.O_DIRECTORY)
}

// displaceFiles displaces some of the files in a folder, up to the first folder, sub. done: nothing is left.
func (x *extractor) displaceFiles(root int, path, real string) (sub string, done bool, err error) {
	d, err := x.sub(root, path, unix.O_RDONLY)
	if err != nil {
		return "", false, err
	}
	f := os.NewFile(uintptr(d), path)
	defer f.Close()
	names, err := f.Readdirnames(256)
	if err == io.EOF {
		if v, err := getXattr(d, opaqueXattr); err == nil && string(v) == "y" {
			x.hidden.add(split(strings.TrimSuffix(real+"/"+path, "/")))
		}
		return "", true, x.full()
	}
	if err != nil {
		return "", false, err
	}
	for _, n := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(d, n, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return "", false, err
		}
		below := join(path, n)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return below, false, nil
		}
		if x.owners != nil {
			x.owners.forget(real + "/" + below)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFCHR {
			x.hidden.add(split(real + "/" + below))
		}
		if err := x.displaceFile(d, n, real+"/"+below, &st); err != nil {
			return "", false, err
		}
	}
	return "", false, x.full()
}
