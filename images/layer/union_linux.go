package layer

import (
	"errors"

	"golang.org/x/sys/unix"
)

// unionFolders are the folders that AUFS kept for itself, such as .wh..wh.plnk, and that came with old layers.
// They belong to no image, but hard links of the layer lead to files in them: all is made, and goes at the end.
type unionFolders struct {
	paths []string // real
	size  int64    // bytes, about
}

func (u *unionFolders) add(path string) {
	u.paths = append(u.paths, path)
	u.size += int64(len(path)) + remembered
}

// dropUnion displaces them, as an entry of their name would.
func (x *extractor) dropUnion() error {
	for _, path := range x.union.paths {
		if err := x.dropUnionFolder(path); err != nil {
			return x.fail(path, "leave out", err)
		}
	}
	return nil
}

func (x *extractor) dropUnionFolder(path string) error {
	above, base := split(path)
	fd, err := x.sub(x.root, above, unix.O_PATH)
	if err == nil {
		defer unix.Close(fd)
		err = unix.Fstatat(fd, base, &unix.Stat_t{}, unix.AT_SYMLINK_NOFOLLOW)
	}
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil // another entry displaced what it lay in
	case err != nil:
		return err
	}
	if err := x.recall(above, fd); err != nil {
		return err
	}
	x.forgetDirs()
	return x.displaceTree(place{fd: fd, real: above}, base, path)
}
