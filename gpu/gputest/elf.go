package gputest

import (
	"bytes"
	"encoding/binary"
	"runtime"
)

// ELF describes a small shared library or program. What [ELF.Bytes] makes of it is loaded and run by the
// real dynamic linker, so no compiler is needed to have a driver.
type ELF struct {
	Class   int      // 64 or 32; 0 is 64
	SONAME  string   //
	Needed  []string // of other libraries; libc.so.6 comes by itself with Glibc
	Glibc   string   // highest version that it asks libc for: "2.17"; "" is none
	Exports []string // functions that take anything and return 0
	Says    string   // a program: it prints this and ends with 0
	Interp  string   // of a program: "" is the usual one of this architecture
}

const (
	dtNeeded, dtHash, dtStrtab, dtSymtab, dtStrsz, dtSyment = 1, 4, 5, 6, 10, 11
	dtSoname, dtDebug, dtVersym, dtVerneed, dtVerneednum    = 14, 21, 0x6ffffff0, 0x6ffffffe, 0x6fffffff
)

// arch is what differs between the processors that the tests run on.
type arch struct {
	machine uint16
	page    int
	interp  string
	ret0    []byte                              // return 0
	say     func(addrOfText, length int) []byte // write(1, text, length); exit(0), with text before the code
}

func archOf(class int) arch {
	if class == 32 {
		return arch{3, 0x1000, "/lib/ld-linux.so.2", []byte{0x31, 0xc0, 0xc3}, nil}
	}
	if runtime.GOARCH == "arm64" {
		return arch{183, 0x10000, "/lib/ld-linux-aarch64.so.1", []byte{0, 0, 0x80, 0x52, 0xc0, 3, 0x5f, 0xd6}, sayARM64}
	}
	return arch{62, 0x1000, "/lib64/ld-linux-x86-64.so.2", []byte{0x31, 0xc0, 0xc3}, sayAMD64}
}

// sayAMD64 writes the text that lies back bytes before the code.
func sayAMD64(back, n int) []byte {
	var b bytes.Buffer
	le := func(v int32) { _ = binary.Write(&b, binary.LittleEndian, v) }
	b.Write([]byte{0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0}) // mov eax,1; mov edi,1
	b.Write([]byte{0x48, 0x8d, 0x35})                   // lea rsi,[rip+…]
	le(int32(-back - b.Len() - 4))
	b.WriteByte(0xba) // mov edx,n
	le(int32(n))
	b.Write([]byte{0x0f, 5, 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 5}) // syscall; mov eax,60; xor edi,edi; syscall
	return b.Bytes()
}

func sayARM64(back, n int) []byte {
	words := []uint32{
		0xd2800000 | 1<<5,                // mov x0, 1
		0,                                // adr x1, text
		0xd2800002 | uint32(n&0xffff)<<5, // mov x2, n
		0xd2800008 | 64<<5, 0xd4000001,   // mov x8, write; svc 0
		0xd2800000, 0xd2800008 | 93<<5, 0xd4000001, // exit(0)
	}
	rel := uint32(-back - 4)
	words[1] = 0x10000001 | rel&3<<29 | rel>>2&0x7ffff<<5
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, words)
	return b.Bytes()
}

// section is one piece of the file; it is also an entry of the section table, as readelf and debug/elf
// want it.
type section struct {
	name             string
	typ, flags       int
	link, info, entr int
	align            int
	data             []byte
	off              int
}

// Bytes is the file.
func (e ELF) Bytes() []byte {
	if e.Class == 0 {
		e.Class = 64
	}
	w := &writer{ELF: e, arch: archOf(e.Class), strs: []byte{0}}
	return w.file()
}

type writer struct {
	ELF
	arch
	strs     []byte
	sections []*section
}

func (w *writer) str(s string) int {
	at := len(w.strs)
	w.strs = append(append(w.strs, s...), 0)
	return at
}

// word is an address or size of this class.
func (w *writer) word(b *bytes.Buffer, vs ...int) {
	for _, v := range vs {
		if w.Class == 32 {
			_ = binary.Write(b, binary.LittleEndian, uint32(v))
		} else {
			_ = binary.Write(b, binary.LittleEndian, uint64(v))
		}
	}
}

func half(b *bytes.Buffer, vs ...int) {
	for _, v := range vs {
		_ = binary.Write(b, binary.LittleEndian, uint16(v))
	}
}

func quad(b *bytes.Buffer, vs ...int) {
	for _, v := range vs {
		_ = binary.Write(b, binary.LittleEndian, uint32(v))
	}
}

func (w *writer) add(s *section) *section {
	w.sections = append(w.sections, s)
	return s
}

func (w *writer) sizes() (ehdr, phdr, shdr, sym, wordSize int) {
	if w.Class == 32 {
		return 52, 32, 40, 16, 4
	}
	return 64, 56, 64, 24, 8
}

// elfHash is the hash of symbol and version names.
func elfHash(s string) int {
	var h uint32
	for _, c := range []byte(s) {
		h = h<<4 + uint32(c)
		g := h & 0xf0000000
		h = (h ^ g>>24) &^ g
	}
	return int(h)
}

// versions is .gnu.version_r: one need, that of libc; nil without one.
func (w *writer) versions() []byte {
	if w.Glibc == "" {
		return nil
	}
	var b bytes.Buffer
	name := "GLIBC_" + w.Glibc
	half(&b, 1, 1)
	quad(&b, w.str("libc.so.6"), 16, 0)
	quad(&b, elfHash(name))
	half(&b, 0, 2)
	quad(&b, w.str(name), 0)
	return b.Bytes()
}

// symbols are .dynsym with value 0 where text will be; patched when the place is known.
func (w *writer) symbols(text, textIndex int) []byte {
	var b bytes.Buffer
	_, _, _, size, _ := w.sizes()
	b.Write(make([]byte, size))
	for i, name := range w.Exports {
		at := w.str(name)
		value := text + i*len(w.ret0)
		quad(&b, at)
		if w.Class == 32 {
			quad(&b, value, len(w.ret0))
		}
		b.Write([]byte{0x12, 0})
		half(&b, textIndex)
		if w.Class == 64 {
			w.word(&b, value, len(w.ret0))
		}
	}
	return b.Bytes()
}

// hash is .hash with one bucket: every symbol in one chain.
func (w *writer) hash() []byte {
	var b bytes.Buffer
	n := len(w.Exports) + 1
	first := 0
	if n > 1 {
		first = 1
	}
	quad(&b, 1, n, first, 0)
	for i := 1; i < n; i++ {
		quad(&b, (i+1)%n)
	}
	return b.Bytes()
}

func (w *writer) text() []byte {
	if w.Says == "" {
		return bytes.Repeat(w.ret0, max(1, len(w.Exports)))
	}
	text := []byte(w.Says)
	for len(text)%16 != 0 {
		text = append(text, 0)
	}
	return append(text, w.say(len(text), len(w.Says))...)
}
