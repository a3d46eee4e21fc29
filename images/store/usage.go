package store

import (
	"io/fs"
	"path/filepath"
	"syscall"
)

type inode struct{ dev, ino uint64 }

// Size is the disk space, in bytes, of paths together. Files with several names count once, however
// many of the trees share them. What vanishes meanwhile counts nothing.
func Size(paths ...string) int64 {
	var total int64
	names := map[inode]uint64{}
	for _, p := range paths {
		walkFiles(p, func(st *syscall.Stat_t, several bool) {
			if several {
				id := inode{uint64(st.Dev), uint64(st.Ino)}
				if names[id]++; names[id] > 1 {
					return
				}
			}
			total += st.Blocks * 512
		})
	}
	return total
}

// wouldFree is what removing path gives back once the paths of earlier calls with the same names are
// gone: a file counts when the last of its names goes.
func wouldFree(names map[inode]uint64, path string) (freed int64) {
	walkFiles(path, func(st *syscall.Stat_t, several bool) {
		if several {
			id := inode{uint64(st.Dev), uint64(st.Ino)}
			if names[id]++; names[id] < uint64(st.Nlink) {
				return
			}
		}
		freed += st.Blocks * 512
	})
	return freed
}

func walkFiles(path string, f func(st *syscall.Stat_t, several bool)) {
	filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // a folder that cannot be read: what can be counted is counted
		}
		if fi, err := d.Info(); err == nil {
			if st, ok := fi.Sys().(*syscall.Stat_t); ok {
				f(st, !fi.IsDir() && st.Nlink > 1)
			}
		}
		return nil
	})
}
