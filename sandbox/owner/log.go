package owner

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of the side files: programs inside decide what is noted.
const (
	maxLog  = 64 << 20
	maxLine = 40 << 10 // a path has at most 4096 bytes, each at most \x00 when quoted
)

// ErrFull says that the side file is as large as it may get.
var ErrFull = errors.New("too many owners of links and changes of user are remembered")

// Note is the owner of an inode that cannot have an attribute.
type Note struct {
	Owner
	Ino  uint64
	Born int64  // nanoseconds since 1970; 0 where the file system does not know
	Path string // when it was noted, with a leading slash
}

// Program is one that changed its user, as it thinks, and ran on.
type Program struct {
	UID          int    // asked for
	Comm         string // its name, 15 bytes at most
	Path         string // of its executable, inside
	Began, Ended time.Time
}

// Log is the side file of one writable layer, open for adding. It is made with the first thing that
// is added. Safe for concurrent use by one process; a layer is one sandbox's at a time.
type Log struct {
	mu   sync.Mutex
	name string
	f    *os.File
	size int64
}

// LogPath is the side file of a writable layer: beside it, never in it.
func LogPath(upper string) string { return strings.TrimRight(upper, "/") + ".owners" }

// NewLog gives the log of a writable layer. It opens nothing.
func NewLog(upper string) *Log { return &Log{name: LogPath(upper)} }

// Note adds a note. A later one about the same inode counts.
func (l *Log) Note(n Note) error {
	return l.add(fmt.Sprintf("o %d %d %d %d %s\n", n.UID, n.GID, n.Ino, n.Born, strconv.Quote(n.Path)))
}

// Notes are all notes of this layer, oldest first.
func (l *Log) Notes() ([]Note, error) {
	notes, _, err := readLogFile(l.name)
	return notes, err
}

// Program adds a program that ended.
func (l *Log) Program(p Program) error {
	return l.add(fmt.Sprintf("p %d %d %d %s %s\n", p.UID, p.Began.UnixNano(), p.Ended.UnixNano(), strconv.Quote(p.Comm), strconv.Quote(p.Path)))
}

func (l *Log) add(line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		f, err := os.OpenFile(l.name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		if l.f, l.size, err = mend(f); err != nil {
			return err
		}
	}
	if l.size+int64(len(line)) > maxLog {
		return ErrFull
	}
	n, err := l.f.WriteString(line)
	l.size += int64(n)
	return err
}

// mend ends a last line that a full disk or a kill cut short.
func mend(f *os.File) (*os.File, int64, error) {
	st, err := f.Stat()
	if err != nil || st.Size() == 0 {
		return f, 0, err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], st.Size()-1); err != nil {
		return nil, 0, err
	}
	if last[0] == '\n' {
		return f, st.Size(), nil
	}
	n, err := f.WriteString("\n")
	return f, st.Size() + int64(n), err
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

// readLog reads a side file; none is an empty one.
func readLog(upper string) ([]Note, []Program, error) { return readLogFile(LogPath(upper)) }

func readLogFile(name string) (notes []Note, programs []Program, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	return parseLog(f)
}

// parseLog leaves out what it does not understand: a line may have been cut short.
func parseLog(r io.Reader) (notes []Note, programs []Program, err error) {
	sc := bufio.NewScanner(io.LimitReader(r, maxLog))
	sc.Buffer(make([]byte, 0, 4096), maxLine)
	for sc.Scan() {
		switch kind, rest, _ := strings.Cut(sc.Text(), " "); kind {
		case "o":
			if n, ok := parseNote(rest); ok {
				notes = append(notes, n)
			}
		case "p":
			if p, ok := parseProgram(rest); ok {
				programs = append(programs, p)
			}
		}
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) { // nothing that we wrote
		return notes, programs, nil
	}
	return notes, programs, sc.Err()
}

func parseNote(s string) (n Note, ok bool) {
	f := strings.SplitN(s, " ", 5)
	if len(f) != 5 {
		return n, false
	}
	var errs [5]error
	n.UID, errs[0] = number(f[0])
	n.GID, errs[1] = number(f[1])
	n.Ino, errs[2] = strconv.ParseUint(f[2], 10, 64)
	n.Born, errs[3] = strconv.ParseInt(f[3], 10, 64)
	n.Path, errs[4] = strconv.Unquote(f[4])
	return n, errors.Join(errs[:]...) == nil
}

func parseProgram(s string) (p Program, ok bool) {
	f := strings.SplitN(s, " ", 4)
	if len(f) != 4 {
		return p, false
	}
	comm, err := strconv.QuotedPrefix(f[3])
	if err != nil {
		return p, false
	}
	path, ok := strings.CutPrefix(f[3][len(comm):], " ")
	if !ok {
		return p, false
	}
	var began, ended int64
	var errs [5]error
	p.UID, errs[0] = number(f[0])
	began, errs[1] = strconv.ParseInt(f[1], 10, 64)
	ended, errs[2] = strconv.ParseInt(f[2], 10, 64)
	p.Comm, errs[3] = strconv.Unquote(comm)
	p.Path, errs[4] = strconv.Unquote(path)
	p.Began, p.Ended = time.Unix(0, began).UTC(), time.Unix(0, ended).UTC()
	return p, errors.Join(errs[:]...) == nil
}

// Programs lists the programs that changed their user in this writable layer, oldest first.
func Programs(upper string) ([]Program, error) {
	_, programs, err := readLog(upper)
	return programs, err
}
