package child

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where the value of an argument comes from.
const (
	fromConst uint8 = iota // the number itself
	fromReg                // the result of an earlier call
	fromMem                // the address of an offset in Program.mem
)

// Instructions that are not system calls. They give a result and an errno like one.
const (
	doStore32 = -1 - iota // mem[a0] = a1
	doLoad16              // result = mem[a0] & a1
	doEqual               // errno a2 unless a0 == a1
	doJump                // nothing; for its onOK
	doCopy                // a2 bytes from mem[a1] to our command line
)

const (
	next     = int32(-1) // go on with the next instruction
	anyErrno = syscall.Errno(0xffff)
)

// arg is one argument while compiling.
type arg struct {
	from uint8
	v    uintptr
}

func num[T ~int | ~uint32 | ~uint64 | ~uintptr | ~int32](v T) arg { return arg{fromConst, uintptr(v)} }

// insn is one call. A failure that is not among fine ends the program with the label.
type insn struct {
	nr    int32
	label int32
	from  [6]uint8
	fine  [3]uint16 // errnos after which the program goes on at onErr
	dst   int32     // register for the result, or -1
	onOK  int32     // next, or where to go on
	onErr int32
	args  [6]uintptr
}

// Label says what a call was for, to the user.
type Label struct {
	Op   string // "bind", "overlay", …
	Kind string // the kind of the operation in the spec, or a part of the start: root, ids, process, …
	Path string
	Why  string
}

// builder collects instructions, their memory and their labels.
type builder struct {
	code   []insn
	mem    []byte
	ptrs   [][2]int // mem[a] gets the address of mem[b] once mem is final
	labels []Label
	places []int32 // jump targets, by id
	regs   int
	strs   map[string]arg
	hows   map[[2]uint64]arg
}

func newBuilder() *builder {
	return &builder{
		code: make([]insn, 0, 256), mem: make([]byte, 0, 16<<10), labels: make([]Label, 0, 64),
		strs: make(map[string]arg, 64), hows: make(map[[2]uint64]arg, 8),
	}
}

// label starts a new step: what follows is reported under it.
func (b *builder) label(op, kind, path, why string) {
	b.labels = append(b.labels, Label{op, kind, path, why})
}

func (b *builder) reg() arg { b.regs++; return arg{fromReg, uintptr(b.regs - 1)} }

// target makes a place to jump to; put it with place.
func (b *builder) target() int32 { b.places = append(b.places, -1); return int32(len(b.places) - 1) }

func (b *builder) place(t int32) { b.places[t] = int32(len(b.code)) }

// space reserves zeroed memory, aligned to 8.
func (b *builder) space(n int) arg {
	for len(b.mem)%8 != 0 {
		b.mem = append(b.mem, 0)
	}
	off := len(b.mem)
	b.mem = append(b.mem, make([]byte, n)...)
	return arg{fromMem, uintptr(off)}
}

func (b *builder) bytes(p []byte) arg {
	a := b.space(len(p))
	copy(b.mem[a.v:], p)
	return a
}

// str is a C string. Equal strings share their memory.
func (b *builder) str(s string) arg {
	if a, ok := b.strs[s]; ok {
		return a
	}
	a := arg{fromMem, uintptr(len(b.mem))}
	b.mem = append(append(b.mem, s...), 0)
	b.strs[s] = a
	return a
}

func (b *builder) put32(a arg, off int, v uint32) {
	binary.NativeEndian.PutUint32(b.mem[int(a.v)+off:], v)
}
func (b *builder) put64(a arg, off int, v uint64) {
	binary.NativeEndian.PutUint64(b.mem[int(a.v)+off:], v)
}

// pointer stores the address of to at a+off.
func (b *builder) pointer(a arg, off int, to arg) {
	b.ptrs = append(b.ptrs, [2]int{int(a.v) + off, int(to.v)})
}

// pointers lays out a NULL-terminated array of strings.
func (b *builder) pointers(list []string) arg {
	a := b.space(8 * (len(list) + 1))
	for i, s := range list {
		b.pointer(a, 8*i, b.str(s))
	}
	return a
}

// call appends an instruction; its methods refine it and must be used before the next append.
func (b *builder) call(nr int, args ...arg) *insn {
	b.code = append(b.code, insn{nr: int32(nr), label: int32(len(b.labels) - 1), dst: -1, onOK: next, onErr: next})
	in := &b.code[len(b.code)-1]
	for i, a := range args {
		in.from[i], in.args[i] = a.from, a.v
	}
	return in
}

// to stores the result in a register.
func (in *insn) to(r arg) *insn { in.dst = int32(r.v); return in }

// ok goes on, with the next instruction, after these errors too.
func (in *insn) ok(errs ...syscall.Errno) *insn { return in.or(next, errs...) }

// or goes on at a target after these errors.
func (in *insn) or(target int32, errs ...syscall.Errno) *insn {
	if len(errs) == 0 {
		return in
	}
	in.onErr = target
	for i, e := range errs {
		in.fine[i] = uint16(e)
	}
	return in
}

// then goes on at a target after success.
func (in *insn) then(target int32) *insn { in.onOK = target; return in }

func (b *builder) jump(target int32) { b.call(doJump).then(target) }

// how is a struct open_how.
func (b *builder) how(flags, resolve uint64) arg {
	key := [2]uint64{flags, resolve}
	if a, ok := b.hows[key]; ok {
		return a
	}
	a := b.space(unix.SizeofOpenHow)
	b.put64(a, 0, flags)
	b.put64(a, 16, resolve)
	b.hows[key] = a
	return a
}

// link resolves jump targets to positions.
func (b *builder) link() {
	for i := range b.code {
		in := &b.code[i]
		if in.onOK != next {
			in.onOK = b.places[in.onOK]
		}
		if in.onErr != next {
			in.onErr = b.places[in.onErr]
		}
	}
}

// take hands out the instructions so far and starts a new list over the same memory.
func (b *builder) take() []insn {
	b.link()
	code := b.code
	b.code, b.places = nil, nil
	return code
}

// seal fixes the memory in place and stores the addresses that lie in it.
func (b *builder) seal() {
	base := uintptr(unsafe.Pointer(&b.mem[0]))
	for _, p := range b.ptrs {
		binary.NativeEndian.PutUint64(b.mem[p[0]:], uint64(base)+uint64(p[1]))
	}
}
