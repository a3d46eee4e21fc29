package inflate

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	window = 32 << 10 // how far back a match can lead
	chunk  = 256 << 10
	slack  = 258 + 16 // a match may begin at the last byte, and copying goes on to the next eight
	ahead  = 16       // bytes of input that are there, or stand in for it, when a symbol is decoded
	inSize = 128 << 10
)

var (
	errCode     = errors.New("inflate: a code that the block does not define")
	errLengths  = errors.New("inflate: code lengths that are no prefix code")
	errDistance = errors.New("inflate: a match from before the beginning")
	errType     = errors.New("inflate: a block of unknown type")
	errStored   = errors.New("inflate: a stored block whose length is damaged")
)

// decoder inflates one stream after another.
type decoder struct {
	src  io.Reader
	rerr error // why src ended

	in       []byte // bytes, then zeros
	pos, end int    // next byte; behind the last real one
	b        uint64 // bits that were taken from in
	n        uint   // how many of them count

	out     []byte
	o       int // behind the last byte that was written
	given   int // of them, how many the reader has had
	from    int // nothing before this is part of the stream
	last    bool
	state   state
	left    int // of a stored block
	lit     [litSize]uint32
	dist    [distSize]uint32
	fixed   bool // the tables are those of the fixed codes
	scratch [preSize]uint32
}

type state uint8

const (
	header state = iota // of a block
	codes
	stored
	done
)

// fill makes sure that there are bytes ahead. Near the end of what is there it gives back those that are in b. Once
// the input has ended it counts on the zeros behind, which lets one look at the next bits be as safe as any; it
// fails where bits were used that were not there.
func (d *decoder) fill() error {
	if d.pos+ahead <= d.end {
		return nil
	}
	d.pos -= int(d.n >> 3)
	d.n &= 7
	d.b &= 1<<d.n - 1
	if d.rerr == nil {
		copy(d.in, d.in[d.pos:d.end])
		d.pos, d.end = 0, d.end-d.pos
		for d.end < ahead && d.rerr == nil {
			var n int
			n, d.rerr = d.src.Read(d.in[d.end : len(d.in)-ahead])
			d.end += n
		}
		if d.end >= ahead {
			return nil
		}
		clear(d.in[d.end : d.end+ahead])
	}
	if d.pos > d.end {
		return d.short()
	}
	return nil
}

// short is why there is no more input.
func (d *decoder) short() error {
	if d.rerr != nil && d.rerr != io.EOF {
		return d.rerr
	}
	return io.ErrUnexpectedEOF
}

// used tells whether bits were used that were not there.
func (d *decoder) used() error {
	if d.pos-int(d.n>>3) > d.end {
		return d.short()
	}
	return nil
}

// need makes the next 48 bits or more those of b.
func (d *decoder) need() error {
	if err := d.fill(); err != nil {
		return err
	}
	d.b |= binary.LittleEndian.Uint64(d.in[d.pos:]) << (d.n & 63)
	d.pos += int((63 - d.n) >> 3)
	d.n |= 56
	return nil
}

func (d *decoder) take(n uint) uint {
	v := uint(d.b) & (1<<n - 1)
	d.b >>= n & 63
	d.n -= n
	return v
}

// step goes on until the output is full, the stream ends or an error.
func (d *decoder) step() (err error) {
	for d.state != done && d.o <= len(d.out)-slack {
		switch d.state {
		case header:
			err = d.block()
		case stored:
			err = d.copyStored()
		case codes:
			err = d.decode()
		}
		if short := d.used(); short != nil { // it says more than what was made of zeros
			err = short
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// block reads the head of a block.
func (d *decoder) block() error {
	if d.last {
		d.state = done
		return nil
	}
	if err := d.need(); err != nil {
		return err
	}
	d.last = d.take(1) == 1
	switch d.take(2) {
	case 0:
		return d.beginStored()
	case 1:
		d.fixedTables()
	case 2:
		if err := d.tables(); err != nil {
			return err
		}
	default:
		return errType
	}
	d.state = codes
	return nil
}

// align drops the rest of a byte and gives whole ones back.
func (d *decoder) align() {
	d.take(d.n & 7)
	d.pos -= int(d.n >> 3)
	d.b, d.n = 0, 0
}

func (d *decoder) beginStored() error {
	d.align()
	if err := d.fill(); err != nil {
		return err
	}
	if d.pos+4 > d.end {
		return d.short()
	}
	n := binary.LittleEndian.Uint16(d.in[d.pos:])
	if n != ^binary.LittleEndian.Uint16(d.in[d.pos+2:]) {
		return errStored
	}
	d.pos += 4
	d.left, d.state = int(n), stored
	return nil
}

func (d *decoder) copyStored() error {
	for d.left > 0 && d.o <= len(d.out)-slack {
		if d.pos == d.end {
			if err := d.fill(); err != nil {
				return err
			}
			if d.pos == d.end {
				return d.short()
			}
		}
		n := copy(d.out[d.o:len(d.out)-slack+1], d.in[d.pos:min(d.end, d.pos+d.left)])
		d.o, d.pos, d.left = d.o+n, d.pos+n, d.left-n
	}
	if d.left == 0 {
		d.state = header
	}
	return nil
}

func (d *decoder) fixedTables() {
	if d.fixed {
		return
	}
	var lens [litCodes]uint8
	for i := range lens {
		switch {
		case i < 144, i >= 280:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		default:
			lens[i] = 7
		}
	}
	build(d.lit[:], litBits, lens[:], symbols().lit[:])
	for i := range 32 {
		lens[i] = 5
	}
	build(d.dist[:], distBits, lens[:32], symbols().dist[:])
	d.fixed = true
}

// order is that in which the lengths of the codes for code lengths come.
var order = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// tables reads the codes of a block.
func (d *decoder) tables() error {
	d.fixed = false
	nlit, ndist, npre := d.take(5)+257, d.take(5)+1, d.take(4)+4
	if nlit > 286 || ndist > 30 {
		return errLengths
	}
	var pre [19]uint8
	for i := range npre {
		if i%8 == 0 {
			if err := d.need(); err != nil {
				return err
			}
		}
		pre[order[i]] = uint8(d.take(3))
	}
	if !build(d.scratch[:], preBits, pre[:], symbols().pre[:]) {
		return errLengths
	}
	var lens [litCodes + 32 + 138]uint8
	for i := uint(0); i < nlit+ndist; {
		if err := d.need(); err != nil {
			return err
		}
		e := d.scratch[d.b&(1<<preBits-1)]
		d.take(uint(e & 0xff))
		v, n := uint8(0), uint(1)
		switch s := e >> 16; s {
		case 16:
			if i == 0 {
				return errLengths
			}
			v, n = lens[i-1], 3+d.take(2)
		case 17:
			n = 3 + d.take(3)
		case 18:
			n = 11 + d.take(7)
		default:
			v = uint8(s)
		}
		for range n {
			lens[i] = v
			i++
		}
		if i > nlit+ndist {
			return errLengths
		}
	}
	if lens[256] == 0 || !build(d.lit[:], litBits, lens[:nlit], symbols().lit[:]) || !build(d.dist[:], distBits, lens[nlit:nlit+ndist], symbols().dist[:]) {
		return errLengths
	}
	return nil
}
