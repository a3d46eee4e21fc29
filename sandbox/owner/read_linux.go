package owner

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// inode identifies a file for as long as its layer lives: numbers are used again, but not with the
// same time of birth.
type inode struct {
	ino  uint64
	born int64
}

func inodeOf(st *unix.Statx_t) inode { return inode{st.Ino, Nanoseconds(st.Btime)} }

// Nanoseconds is a time of the kernel since 1970; 0 is none.
func Nanoseconds(t unix.StatxTimestamp) int64 { return t.Sec*1e9 + int64(t.Nsec) }

// Read gives the owners that a writable layer remembers, by path without a leading slash and with ""
// for the root. Paths that are not there were never chowned: theirs are those below, else root's. The
// layer must not be in use.
func Read(upper string) (map[string]Owner, error) {
	list, _, err := readLog(upper)
	if err != nil {
		return nil, err
	}
	notes := make(map[inode]Note, len(list))
	for _, n := range list {
		notes[inode{n.Ino, n.Born}] = n
	}
	out := map[string]Owner{}
	err = Walk(upper, func(at, path string, st *unix.Statx_t) error {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG, unix.S_IFDIR:
			var buf [64]byte
			n, err := unix.Lgetxattr(at, Attr, buf[:])
			if err == nil {
				if o, err := Parse(string(buf[:n])); err == nil {
					out[path] = o
				}
				return nil
			}
			if err != unix.ENODATA && err != unix.EOPNOTSUPP && err != unix.ERANGE {
				return &os.PathError{Op: "getxattr", Path: path, Err: err}
			}
		}
		n, ok := notes[inodeOf(st)]
		if ok && (n.Born != 0 || n.Path == "/"+path) {
			out[path] = n.Owner
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Strip removes what is remembered, so that the tree is as if chown had never been asked for. The layer
// must not be in use.
func Strip(upper string) error {
	err := Walk(upper, func(at, path string, st *unix.Statx_t) error {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG, unix.S_IFDIR:
			// Most have none, and to ask takes no right to write.
			if _, err := unix.Lgetxattr(at, Attr, nil); err == unix.ENODATA {
				return nil
			}
			switch err := unix.Lremovexattr(at, Attr); err {
			case nil, unix.ENODATA, unix.EOPNOTSUPP:
			default:
				return &os.PathError{Op: "removexattr", Path: path, Err: err}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.Remove(LogPath(upper)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Written gives what was last changed while one of the programs ran under the user it had asked for, by path
// as in Read, with the index of the program. What was chowned is not among it: its owner is known. It
// can name too much (another program wrote at the same time) and too little (what the program's own children
// wrote after its end).
func Written(upper string, programs []Program) (map[string]int, error) {
	out := map[string]int{}
	if len(programs) == 0 {
		return out, nil
	}
	owners, err := Read(upper)
	if err != nil {
		return nil, err
	}
	err = Walk(upper, func(at, path string, st *unix.Statx_t) error {
		if _, known := owners[path]; known || st.Mode&unix.S_IFMT == unix.S_IFCHR {
			return nil
		}
		changed := time.Unix(st.Ctime.Sec, int64(st.Ctime.Nsec))
		for i, p := range programs {
			// The clock of files lags by up to a tick of 10 ms behind the one that programs read.
			if changed.After(p.Began.Add(-10*time.Millisecond)) && !changed.After(p.Ended) {
				out[path] = i
				break
			}
		}
		return nil
	})
	return out, err
}
