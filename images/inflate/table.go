package inflate

import (
	"math/bits"
	"sync"
)

// Sizes of the tables: what a first look at the next bits goes by, and the most entries that any set of code
// lengths of at most 15 bits needs (as zlib's program "enough" counts them).
const (
	litBits, litSize   = 11, 2342
	distBits, distSize = 8, 402
	preBits, preSize   = 7, 128

	maxCode  = 15
	litCodes = 288
)

// An entry of a table:
//
//	bits 0-7    how many bits the symbol takes, its extra bits included; of a pointer, those of the first look
//	bits 8-11   how many of them are the code; of a pointer, how many bits the second look takes
//	bit 12      it is neither a literal nor the base of a length or distance:
//	bit 13      end of the block, bit 14 pointer to a second table, bit 15 no code has these bits
//	bits 16-30  literal, base of a length or distance, place of the second table
//	bit 31      literal
const (
	special = 1 << 12
	endOf   = special | 1<<13
	pointer = special | 1<<14
	invalid = special | 1<<15
	literal = 1 << 31
)

// symbolSet is what the symbols of each alphabet stand for, as entries without their code's length.
type symbolSet struct {
	lit  [litCodes]uint32
	dist [32]uint32
	pre  [19]uint32
}

var symbols = sync.OnceValue(func() *symbolSet {
	s := new(symbolSet)
	for i := range 256 {
		s.lit[i] = literal | uint32(i)<<16
	}
	s.lit[256] = endOf
	base, extra := uint32(3), uint32(0)
	for i := 257; i < 285; i++ {
		if i >= 265 && (i-265)%4 == 0 {
			extra++
		}
		s.lit[i] = base<<16 | extra
		base += 1 << extra
	}
	s.lit[285] = 258 << 16
	s.lit[286], s.lit[287] = invalid, invalid
	base, extra = 1, 0
	for i := range 30 {
		if i >= 4 && i%2 == 0 {
			extra++
		}
		s.dist[i] = base<<16 | extra
		base += 1 << extra
	}
	s.dist[30], s.dist[31] = invalid, invalid
	for i := range s.pre {
		s.pre[i] = uint32(i) << 16
	}
	return s
})

// build fills table for codes of these lengths (0 = the symbol is not used) and tells whether they are a
// prefix code: a complete one, or at most a single code of one bit, with which the other bit is an error.
func build(table []uint32, first uint, lens []uint8, symbols []uint32) bool {
	var count, next [maxCode + 1]uint
	for _, l := range lens {
		count[l]++
	}
	count[0] = 0
	left, most := 1, uint(0)
	for l := uint(1); l <= maxCode; l++ {
		left = left<<1 - int(count[l])
		if left < 0 {
			return false
		}
		if count[l] > 0 {
			most = l
		}
		if l < maxCode {
			next[l+1] = (next[l] + count[l]) << 1
		}
	}
	if left > 0 {
		if most > 1 {
			return false
		}
		for i := range 1 << first {
			table[i] = invalid | 1
		}
	}
	free := uint(1) << first
	if most > first {
		var ok bool
		if free, ok = pointers(table, first, lens, next); !ok {
			return false
		}
	}
	for s, l8 := range lens {
		l := uint(l8)
		if l == 0 {
			continue
		}
		code := uint(bits.Reverse16(uint16(next[l])) >> (16 - l))
		next[l]++
		from, size := uint(0), uint(1)<<first
		if l > first {
			p := table[code&(1<<first-1)]
			from, size = uint(p>>16), uint(1)<<(p>>8&15)
			code, l = code>>first, l-first
		}
		e := symbols[s]
		e = e&^0xff | uint32(l)<<8 | (uint32(l) + e&0xff)
		for i := code; i < size; i += 1 << l {
			table[from+i] = e
		}
	}
	return free <= uint(len(table))
}

// pointers makes the entries that lead to second tables, each as large as its longest code needs.
func pointers(table []uint32, first uint, lens []uint8, next [maxCode + 1]uint) (free uint, ok bool) {
	mask := uint(1)<<first - 1
	var longest [1 << litBits]uint8
	for _, l := range lens {
		if l == 0 {
			continue
		}
		code := uint(bits.Reverse16(uint16(next[l])) >> (16 - l))
		next[l]++
		if p := &longest[code&mask]; uint(l) > first && l > *p {
			*p = l
		}
	}
	free = mask + 1
	for i, l := range longest[:mask+1] {
		if l == 0 {
			continue
		}
		n := uint(l) - first
		if free+1<<n > uint(len(table)) {
			return 0, false
		}
		table[i] = uint32(free)<<16 | pointer | uint32(n)<<8 | uint32(first)
		free += 1 << n
	}
	return free, true
}
