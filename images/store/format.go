package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/internal/smallfile"
)

// Format is the newest format of a store that this version knows.
//
// Folders carry versions of their own, so most changes need no other number here: what an older version
// does not know it does not see. The number grows when an older version would do harm to what it does not see,
// as by collecting layers that only records of a new form refer to. See docs/state.md.
const Format = 1

const formatFile = "format"

// FormatError is a store that only a newer version may use.
type FormatError struct {
	Path string
	Have int // its format
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("the store belongs to a newer version of sandbox: it has format %d, this version knows %d: %s", e.Have, Format, e.Path)
}

// Hint says how to go on.
func (e *FormatError) Hint() string {
	return "use that version, or set SANDBOX_STORE to another folder for this one"
}

// checkFormat is before anything is written. noted: the store has a number.
func (s *Store) checkFormat() (noted bool, err error) {
	p := s.Path(formatFile)
	b, err := smallfile.ReadOwn(p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open the store: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(string(b), "\n"))
	if err != nil || n < 1 {
		return false, fmt.Errorf("open the store: not the format of a store: %s", p)
	}
	if n > Format {
		return true, &FormatError{Path: s.dir, Have: n}
	}
	return true, nil
}

// noteFormat is for a store that is new: what it needs of the file system is tried out, once.
func (s *Store) noteFormat() error {
	var lacks *FilesystemError
	if err := Probe(s.dir); errors.As(err, &lacks) && lacks.Usable {
		s.notice(lacks.Error())
	} else if err != nil {
		return err
	}
	if err := s.makeFolders(); err != nil {
		return err
	}
	err := s.writeFile(s.dir, formatFile, []byte(strconv.Itoa(Format)+"\n"), 0o644)
	var full *SpaceError
	if errors.Is(err, ErrReadOnly) || errors.Is(err, os.ErrNotExist) || errors.As(err, &full) {
		return nil // the next one does it; what is there can be used
	}
	return err
}
