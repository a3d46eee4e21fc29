package inflate

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync"
)

// Errors of a gzip stream's frame.
var (
	ErrHeader   = errors.New("gzip: invalid header")
	ErrChecksum = errors.New("gzip: invalid checksum")
)

// Reader reads the members of a gzip stream, one after the other, to the end of the input: bytes behind the last
// member are an error. Close gives its memory back.
type Reader struct {
	d    *decoder
	crc  uint32
	size uint32
	err  error
}

var decoders = sync.Pool{New: func() any {
	return &decoder{in: make([]byte, inSize), out: make([]byte, window+chunk+slack)}
}}

// NewReader begins to read r, which it may read ahead of what it gives. It fails if r does not begin with a
// member. Not safe for use by several goroutines at once.
func NewReader(r io.Reader) (*Reader, error) {
	d := decoders.Get().(*decoder)
	d.src, d.rerr, d.pos, d.end, d.b, d.n, d.o, d.given = r, nil, 0, 0, 0, 0, 0, 0
	z := &Reader{d: d}
	if err := z.member(); err != nil {
		if err == io.EOF { // not even a first one
			err = io.ErrUnexpectedEOF
		}
		z.err = err
		z.Close()
		return nil, err
	}
	return z, nil
}

// Close ends the use of the reader.
func (z *Reader) Close() error {
	if z.d != nil {
		z.d.src = nil
		decoders.Put(z.d)
		z.d = nil
		z.err = errClosed
	}
	return nil
}

var errClosed = errors.New("gzip: read after close")

// Read gives the uncompressed bytes. What it gave is right as far as the format can tell only when io.EOF has come.
func (z *Reader) Read(p []byte) (int, error) {
	for z.err == nil {
		d := z.d
		if d.given < d.o {
			n := copy(p, d.out[d.given:d.o])
			d.given += n
			return n, nil
		}
		if len(p) == 0 {
			return 0, nil
		}
		z.err = z.more()
	}
	return 0, z.err
}

// more inflates the next part.
func (z *Reader) more() error {
	d := z.d
	if d.state == done {
		if err := z.trailer(); err != nil {
			return err
		}
		return z.member()
	}
	if d.o > window {
		by := d.o - window
		copy(d.out, d.out[by:d.o])
		d.o, d.given, d.from = window, window, max(0, d.from-by)
	}
	err := d.step()
	if err != nil {
		d.o = d.given
		return err
	}
	new := d.out[d.given:d.o]
	z.crc = crc32.Update(z.crc, crc32.IEEETable, new)
	z.size += uint32(len(new))
	return nil
}

func (z *Reader) trailer() error {
	d := z.d
	d.align()
	if err := d.fill(); err != nil {
		return err
	}
	if d.pos+8 > d.end {
		return d.short()
	}
	crc, size := binary.LittleEndian.Uint32(d.in[d.pos:]), binary.LittleEndian.Uint32(d.in[d.pos+4:])
	d.pos += 8
	if crc != z.crc || size != z.size {
		return ErrChecksum
	}
	return nil
}

// Flags of a member's header.
const (
	hasCRC, hasExtra, hasName, hasComment = 1 << 1, 1 << 2, 1 << 3, 1 << 4
)

// member reads the header of the next member; io.EOF is the end of the input in its place.
func (z *Reader) member() error {
	d := z.d
	if err := d.fill(); err != nil {
		return err
	}
	if d.pos == d.end {
		if d.rerr != io.EOF {
			return d.short()
		}
		return io.EOF
	}
	var crc uint32
	head, err := d.bytes(10, &crc)
	if err != nil {
		return err
	}
	flags := head[3]
	if head[0] != 0x1f || head[1] != 0x8b || head[2] != 8 || flags&0xe0 != 0 {
		return ErrHeader
	}
	if flags&hasExtra != 0 {
		n, err := d.bytes(2, &crc)
		if err != nil {
			return err
		}
		for left := int(binary.LittleEndian.Uint16(n)); left > 0; left -= min(left, ahead) {
			if _, err := d.bytes(min(left, ahead), &crc); err != nil {
				return err
			}
		}
	}
	for _, f := range []byte{hasName, hasComment} {
		for text := flags&f != 0; text; {
			c, err := d.bytes(1, &crc)
			if err != nil {
				return err
			}
			text = c[0] != 0
		}
	}
	if flags&hasCRC != 0 {
		want := uint16(crc)
		got, err := d.bytes(2, &crc)
		if err != nil {
			return err
		}
		if binary.LittleEndian.Uint16(got) != want {
			return ErrHeader
		}
	}
	d.state, d.last, d.from = header, false, d.o
	z.crc, z.size = 0, 0
	return nil
}

// bytes gives the next n of at most ahead, until the next call.
func (d *decoder) bytes(n int, crc *uint32) ([]byte, error) {
	if err := d.fill(); err != nil {
		return nil, err
	}
	if d.pos+n > d.end {
		return nil, d.short()
	}
	b := d.in[d.pos : d.pos+n]
	d.pos += n
	*crc = crc32.Update(*crc, crc32.IEEETable, b)
	return b, nil
}
