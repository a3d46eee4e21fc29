package store

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/4cc2e759/sandbox/internal/lockfile"
)

// takeOut takes a name away, if it still stands for the file or folder that was looked at, held, and removes what it
// stood for. Two processes can come upon one damage, and the second must not remove what the first has brought again: so
// held is open all the time, in which no other file gets its inode number, and it is compared after the rename. It is
// false where nothing was taken out.
func (s *Store) takeOut(c candidate, held *os.File) bool {
	warn := func(err error) bool {
		s.log.Warn("cannot remove what is damaged", "path", c.path, "err", err)
		return false
	}
	if same, err := lockfile.Names(c.path, held); err != nil {
		return warn(err)
	} else if !same {
		return false
	}
	t, err := s.tempDir("damaged")
	if err != nil {
		return warn(err)
	}
	defer t.close()
	away := t.path + "/it"
	moved, err := s.moveOne(c, away)
	if err != nil {
		return warn(err)
	}
	if !moved {
		return false
	}
	same, err := lockfile.Names(away, held)
	if same {
		return true
	}
	if err := errors.Join(err, putBack(away, c.path)); err != nil {
		warn(err)
	}
	return false
}

// putBack gives a name again to what has just come under it, unless something newer has it.
func putBack(away, path string) error {
	fi, err := os.Lstat(away)
	if err != nil {
		return err
	}
	if fi.IsDir() {
		err = os.Rename(away, path) // nothing that is not empty is replaced
	} else {
		err = os.Link(away, path)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil
	}
	return err
}

// isWrong tells content that is known to be wrong from what cannot be read just now, as with too many open files.
func isWrong(err error) bool {
	var d *DigestError
	return errors.As(err, &d) || errors.Is(err, errNotRegular) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EIO)
}
