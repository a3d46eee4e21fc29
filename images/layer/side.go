package layer

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// The side data of a layer is a sequence of records that, read in order, give its tar:
//
//	'R' length bytes                 bytes of the tar as they are
//	'F' size crc32c length name      the contents of a file of the tree
//	'E'                              the end
//
// Numbers are unsigned varints, the checksum four bytes. F records are numbered from 1; a tree in which
// an F file is not found under its name has tar/places.
const (
	sideFile  = "tar/raw.zst"
	sideMagic = "sandbox layer 1\n"
	placeFile = "tar/places"
	keptDir   = "tar/kept"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recorder stands between the tar reader and the stream. While on, it keeps what passes.
type recorder struct {
	r     *bufio.Reader
	on    bool
	side  *sideWriter // nil: nothing is kept
	bytes int64       // all that passed
	max   int64       // of them
	limit int64       // what max was at first

	passed func() error // is asked after each read whether to go on
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.bytes += int64(n)
	if r.bytes > r.max {
		return n, &LimitError{What: "layer", Key: "size", Limit: r.limit}
	}
	if perr := r.passed(); perr != nil {
		return n, perr
	}
	if r.on && r.side != nil {
		if werr := r.side.raw(p[:n]); werr != nil {
			return n, werr
		}
	}
	return n, err
}

type sideWriter struct {
	w       io.Writer
	pending []byte
	head    []byte
	files   int // F records so far
}

func newSideWriter(w io.Writer) (*sideWriter, error) {
	_, err := io.WriteString(w, sideMagic)
	return &sideWriter{w: w}, err
}

func (s *sideWriter) raw(p []byte) error {
	s.pending = append(s.pending, p...)
	if len(s.pending) >= 64<<10 {
		return s.flush()
	}
	return nil
}

func (s *sideWriter) flush() error {
	if len(s.pending) == 0 {
		return nil
	}
	s.head = binary.AppendUvarint(append(s.head[:0], 'R'), uint64(len(s.pending)))
	if _, err := s.w.Write(s.head); err != nil {
		return err
	}
	_, err := s.w.Write(s.pending)
	s.pending = s.pending[:0]
	return err
}

func (s *sideWriter) file(name string, size int64, crc uint32) error {
	if err := s.flush(); err != nil {
		return err
	}
	s.files++
	s.head = binary.AppendUvarint(append(s.head[:0], 'F'), uint64(size))
	s.head = binary.LittleEndian.AppendUint32(s.head, crc)
	s.head = binary.AppendUvarint(s.head, uint64(len(name)))
	s.head = append(s.head, name...)
	_, err := s.w.Write(s.head)
	return err
}

func (s *sideWriter) end() error {
	if err := s.flush(); err != nil {
		return err
	}
	_, err := s.w.Write([]byte{'E'})
	return err
}

// sideRecord is a record as it is read: kind 'F', or 'R' whose n bytes follow in the reader.
type sideRecord struct {
	kind byte
	n    int64
	crc  uint32
	name string
}

type sideReader struct{ r *bufio.Reader }

func newSideReader(r io.Reader) (*sideReader, error) {
	s := &sideReader{bufio.NewReaderSize(r, 64<<10)}
	magic := make([]byte, len(sideMagic))
	if _, err := io.ReadFull(s.r, magic); err != nil || string(magic) != sideMagic {
		return nil, fmt.Errorf("not the side data of a layer")
	}
	return s, nil
}

func (s *sideReader) next() (rec sideRecord, err error) {
	kind, err := s.r.ReadByte()
	if err != nil {
		return rec, noEOF(err)
	}
	rec.kind = kind
	if kind == 'E' {
		return rec, nil
	}
	if kind != 'R' && kind != 'F' {
		return rec, fmt.Errorf("unknown record %q", kind)
	}
	n, err := binary.ReadUvarint(s.r)
	if err != nil || n > 1<<62 {
		return rec, fmt.Errorf("bad record length: %w", noEOF(err))
	}
	rec.n = int64(n)
	if kind == 'R' {
		return rec, nil
	}
	var sum [4]byte
	if _, err := io.ReadFull(s.r, sum[:]); err != nil {
		return rec, noEOF(err)
	}
	rec.crc = binary.LittleEndian.Uint32(sum[:])
	l, err := binary.ReadUvarint(s.r)
	if err != nil || l > 1<<16 {
		return rec, fmt.Errorf("bad name length: %w", noEOF(err))
	}
	b := make([]byte, l)
	_, err = io.ReadFull(s.r, b)
	rec.name = string(b)
	return rec, noEOF(err)
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
