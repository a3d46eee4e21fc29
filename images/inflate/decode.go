package inflate

import "encoding/binary"

// refill makes the next 56 bits or more those of b.
func refill(in []byte, pos int, b uint64, n uint) (int, uint64, uint) {
	return pos + int((63-n)>>3), b | binary.LittleEndian.Uint64(in[pos:pos+8])<<(n&63), n | 56
}

// extra is what the bits behind a symbol's code add to its base; was are the bits that begin with the code.
func extra(e uint32, was uint64) int {
	return int(e>>16) + int(uint(was)&(1<<(e&63)-1)>>(e>>8&15))
}

// decode takes symbols until the block ends or the output is full.
func (d *decoder) decode() (err error) {
	in, out := d.in, d.out
	pos, o, b, n := d.pos, d.o, d.b, d.n
	lit, dist := &d.lit, &d.dist
	full, safe := len(out)-slack, d.end-ahead
symbols:
	for o <= full {
		if pos > safe {
			d.pos, d.b, d.n = pos, b, n
			if err := d.fill(); err != nil {
				d.o = o
				return err
			}
			pos, b, n = d.pos, d.b, d.n
			safe = max(d.end-ahead, pos) // near the end of the input: this once
		}
		pos, b, n = refill(in, pos, b, n)
		// Up to three literals, or two and a length: at most 42 bits.
		e, was := lit[b&(1<<litBits-1)], b
		b, n = b>>(e&63), n-uint(e&0xff)
		for k := 0; e&literal != 0; k++ {
			out[o] = byte(e >> 16)
			o++
			if k == 2 {
				continue symbols
			}
			e, was = lit[b&(1<<litBits-1)], b
			b, n = b>>(e&63), n-uint(e&0xff)
		}
		if e&special != 0 {
			if e&pointer == pointer {
				e, was = lit[uint(e>>16)+uint(b)&(1<<(e>>8&15)-1)], b
				b, n = b>>(e&63), n-uint(e&0xff)
			}
			if e&literal != 0 {
				out[o] = byte(e >> 16)
				o++
				continue
			}
			if e&endOf == endOf {
				d.state = header
				break
			}
			if e&special != 0 {
				err = errCode
				break
			}
		}
		length := extra(e, was)
		// A distance takes up to 28 bits.
		pos, b, n = refill(in, pos, b, n)
		e, was = dist[b&(1<<distBits-1)], b
		b, n = b>>(e&63), n-uint(e&0xff)
		if e&pointer == pointer {
			e, was = dist[uint(e>>16)+uint(b)&(1<<(e>>8&15)-1)], b
			b, n = b>>(e&63), n-uint(e&0xff)
		}
		off := extra(e, was)
		if e&special != 0 {
			err = errCode
			break
		}
		if off > o-d.from {
			err = errDistance
			break
		}
		o = match(out, o, off, length)
	}
	d.pos, d.o, d.b, d.n = pos, o, b, n
	return err
}

// match copies length bytes from off before o and gives the place behind them. Up to 15 more bytes may be
// written there: nothing that counts.
func match(out []byte, o, off, length int) int {
	end, src := o+length, o-off
	switch {
	case off >= 16 && length <= 16: // most
		binary.LittleEndian.PutUint64(out[o:], binary.LittleEndian.Uint64(out[src:]))
		binary.LittleEndian.PutUint64(out[o+8:], binary.LittleEndian.Uint64(out[src+8:]))
	case off >= 8:
		for ; o < end; o, src = o+8, src+8 {
			binary.LittleEndian.PutUint64(out[o:], binary.LittleEndian.Uint64(out[src:]))
		}
	case off == 1:
		for v := uint64(out[src]) * 0x0101010101010101; o < end; o += 8 {
			binary.LittleEndian.PutUint64(out[o:], v)
		}
	default:
		for ; o < end; o, src = o+1, src+1 {
			out[o] = out[src]
		}
	}
	return end
}
