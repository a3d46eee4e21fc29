package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Program is what the child does. It is used for one [Program.Fork].
type Program struct {
	setup   []insn // in pid 1
	program []insn // in the child of pid 1, before it executes the program
	labels  []Label
	mem     []byte
	base    unsafe.Pointer // of mem
	args    unsafe.Pointer // of our command line
	regs    []uintptr
	flags   uintptr    // of clone
	clone3  [11]uint64 // struct clone_args, when a cgroup is wanted
	ctl     [2]int     // our end, the child's end
	ctlIn   uintptr    // the child's number for its end

	candidates []uintptr // addresses of the paths to try
	paths      []string  // the same, for messages
	argv, envv uintptr
	name       string // as the user wrote it

	ownPID   bool      // own pid namespace
	maps     [2]string // uid_map and gid_map that this side has to write; empty: the child does
	payload  int       // pid of the program, as pid 1 sees it
	msg      message
	sigs     uint64 // all signals
	info     [128]byte
	status   uint32
	kids     [512]byte
	children [9]byte
}

// run interprets a table. It returns the label and the errno of the call that failed, or errno 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (p *Program) run(code []insn) (int32, syscall.Errno) {
	tries := 0
	for pc := int32(0); int(pc) < len(code); {
		in := &code[pc]
		a := p.values(in)
		var r uintptr
		var e syscall.Errno
		if in.nr < 0 {
			r, e = p.local(in, &a)
		} else {
			r, _, e = syscall.RawSyscall6(uintptr(in.nr), a[0], a[1], a[2], a[3], a[4], a[5])
		}
		if e == 0 {
			tries = 0
			if in.dst >= 0 {
				p.regs[in.dst] = r
			}
			if pc++; in.onOK != next {
				pc = in.onOK
			}
			continue
		}
		// A rename anywhere on the machine while a ".." is walked: the kernel asks to try again.
		if e == syscall.EAGAIN && in.nr == unix.SYS_OPENAT2 && tries < 1000 {
			tries++
			continue
		}
		tries = 0
		f := &in.fine
		if f[0] != uint16(anyErrno) && f[0] != uint16(e) && f[1] != uint16(e) && f[2] != uint16(e) {
			return in.label, e
		}
		if pc++; in.onErr != next {
			pc = in.onErr
		}
	}
	return 0, 0
}

// values resolves the arguments of an instruction.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (p *Program) values(in *insn) (a [6]uintptr) {
	for i := 0; i < 6; i++ {
		v := in.args[i]
		switch in.from[i] {
		case fromReg:
			v = p.regs[v]
		case fromMem:
			v += uintptr(p.base)
		}
		a[i] = v
	}
	return a
}

// local does what is no system call.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (p *Program) local(in *insn, a *[6]uintptr) (r uintptr, e syscall.Errno) {
	switch in.nr {
	case doStore32:
		*(*uint32)(unsafe.Add(p.base, in.args[0])) = uint32(a[1])
	case doLoad16:
		r = uintptr(*(*uint16)(unsafe.Add(p.base, in.args[0]))) & a[1]
	case doEqual:
		if a[0] != a[1] {
			e = syscall.Errno(a[2])
		}
	case doCopy:
		for i := uintptr(0); i < a[2]; i++ {
			*(*byte)(unsafe.Add(p.args, i)) = *(*byte)(unsafe.Add(p.base, in.args[1]+i))
		}
	}
	return r, e
}
