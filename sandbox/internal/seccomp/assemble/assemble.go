package assemble

import (
	"encoding/binary"
	"slices"
)

// Arch is one architecture: its audit number and its calls.
type Arch struct {
	Name  string
	Audit uint32
	Calls map[string]uint32
}

// Instruction is a struct sock_filter.
type Instruction struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// Bytes is the program as the kernel reads it on a little-endian machine.
func Bytes(p []Instruction) []byte {
	var b []byte
	for _, i := range p {
		b = binary.LittleEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.LittleEndian.AppendUint32(b, i.K)
	}
	return b
}

const (
	ld  = 0x20 // load a word of struct seccomp_data
	and = 0x54
	jeq = 0x15
	jge = 0x35
	set = 0x45 // jump if a bit is set
	ja  = 0x05
	ret = 0x06

	retAllow  = 0x7fff0000
	retErrno  = 0x00050000
	retNotify = 0x7fc00000

	offNr, offArch, offArgs = 0, 4, 16
)

// span is a range of call numbers, up to the next, with one action.
type span struct {
	from uint32
	do   action
}

// Filters are those that one program holds.
type Filters struct{ Container, Root, NoSync, Owners bool }

// Assemble makes the program for the native architecture and its 32-bit sibling.
func Assemble(native, compat Arch, f Filters) []Instruction {
	a, b := tree(spans(native, f)), tree(spans(compat, f))
	other := uint32(retAllow)
	if f.Container {
		other = retErrno | 38
	}
	p := []Instruction{
		{ld, 0, 0, offArch},
		{jeq, 2, 0, native.Audit},
		{jeq, 0, 2, compat.Audit},
		{ja, 0, 0, uint32(len(a) + 3)},
		{ja, 0, 0, 1},
		{ret, 0, 0, other},
		{ld, 0, 0, offNr},
	}
	p = append(p, a...)
	p = append(p, Instruction{ld, 0, 0, offNr})
	return append(p, b...)
}

// spans lists the actions over the whole range of numbers.
func spans(a Arch, f Filters) []span {
	at := map[uint32]action{}
	for name, nr := range a.Calls {
		at[nr] = allow
		if do, ok := conditional[name]; f.Container && ok {
			at[nr] = do
		}
		if f.Container && slices.Contains(denied, name) {
			at[nr] = eperm
		}
		if do, ok := fake[name]; f.Root && ok {
			at[nr] = do
		}
		if _, ok := Asked[name]; f.Owners && ok {
			at[nr] = notify
		}
		if f.NoSync && slices.Contains(syncs, name) {
			at[nr] = zero
		}
	}
	if p, ok := private[a.Name]; ok {
		for nr := p[0]; nr <= p[1]; nr++ {
			at[nr] = allow
		}
	}
	rest := allow
	if f.Container {
		rest = enosys
	}
	numbers := make([]uint32, 0, len(at))
	for nr := range at {
		numbers = append(numbers, nr)
	}
	slices.Sort(numbers)
	list := []span{{0, rest}}
	put := func(from uint32, do action) {
		switch last := &list[len(list)-1]; {
		case last.do == do:
		case last.from == from:
			last.do = do
		default:
			list = append(list, span{from, do})
		}
	}
	end := uint32(0)
	for _, nr := range numbers {
		if nr > end {
			put(end, rest)
		}
		put(nr, at[nr])
		end = nr + 1
	}
	put(end, rest)
	return list
}

// tree searches the number, which is loaded, in halves.
func tree(list []span) []Instruction {
	if len(list) == 1 {
		return leaf(list[0].do)
	}
	mid := len(list) / 2
	low, high := tree(list[:mid]), tree(list[mid:])
	var p []Instruction
	if len(low) <= 255 {
		p = []Instruction{{jge, uint8(len(low)), 0, list[mid].from}}
	} else {
		p = []Instruction{{jge, 0, 1, list[mid].from}, {ja, 0, 0, uint32(len(low))}}
	}
	return append(append(p, low...), high...)
}

func errno(n uint32) Instruction { return Instruction{ret, 0, 0, retErrno | n} }

// leaf is the end for one action. Only the low halves of arguments are looked at, because the kernel
// uses no more of them for these calls; comparing all 64 bits would let a dirty upper half through.
func leaf(do action) []Instruction {
	yes := Instruction{ret, 0, 0, retAllow}
	arg := func(n uint32) Instruction { return Instruction{ld, 0, 0, offArgs + 8*n} }
	switch do {
	case allow:
		return []Instruction{yes}
	case eperm:
		return []Instruction{errno(1)}
	case enosys:
		return []Instruction{errno(38)}
	case zero:
		return []Instruction{errno(0)}
	case notify:
		return []Instruction{{ret, 0, 0, retNotify}}
	case socket: // AF_ALG, AF_VSOCK: EAFNOSUPPORT
		return []Instruction{arg(0), {jeq, 1, 0, 38}, {jeq, 0, 1, 40}, errno(97), yes}
	case socketcall: // 1 makes a socket
		return []Instruction{arg(0), {jeq, 0, 1, 1}, errno(38), yes}
	case ioctl: // TIOCSTI, TIOCLINUX
		return []Instruction{arg(1), {jeq, 1, 0, 0x5412}, {jeq, 0, 1, 0x541c}, errno(1), yes}
	case clone: // any CLONE_NEW…
		return []Instruction{arg(0), {set, 0, 1, 0x7e020000}, errno(1), yes}
	case personality: // Linux, with or without uname26, and the question
		return []Instruction{
			arg(0), {jeq, 5, 0, 0xffffffff}, {jeq, 4, 0, 0x40000}, // no address randomisation: debuggers
			{and, 0, 0, ^uint32(0x20008)}, {jeq, 1, 0, 0}, errno(1), yes, yes,
		}
	case setfsid: // -1 asks
		return []Instruction{arg(0), {jeq, 1, 0, 0xffffffff}, errno(0), yes}
	case mknod:
		return device(arg(1), arg(2))
	case mknodat:
		return device(arg(2), arg(3))
	}
	panic("no such action")
}

// device fakes device nodes but for 0:0, a whiteout of overlayfs.
func device(mode, dev Instruction) []Instruction {
	return []Instruction{
		mode, {and, 0, 0, 0o170000}, {jeq, 3, 0, 0o060000}, {jeq, 0, 3, 0o020000},
		dev, {jeq, 1, 0, 0}, errno(0), {ret, 0, 0, retAllow},
	}
}
