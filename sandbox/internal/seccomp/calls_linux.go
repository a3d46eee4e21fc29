package seccomp

// Does is how the arguments of a call are read.
type Does uint8

// The calls that a filter with "owners" leaves to its listener.
const (
	Chown     Does = 1 + iota // path, uid, gid
	Lchown                    // path, uid, gid: a link itself
	Fchown                    // descriptor, uid, gid
	Fchownat                  // folder, path, uid, gid, flags
	Setuid                    // uid
	Setreuid                  // real, effective
	Setresuid                 // real, effective, saved
)

// Call is one of them on one architecture.
type Call struct {
	Arch, Nr uint32
	Does     Does
	Short    bool // ids have 16 bits
}

// CallOf finds a call by the architecture and number of a notification.
func CallOf(arch, nr uint32) (Call, bool) {
	for i := range asked {
		if c := &asked[i]; c.Arch == arch && c.Nr == nr {
			return *c, true
		}
	}
	return Call{}, false
}

// ID is an id as the call got it; -1 leaves what is there.
func (c Call) ID(arg uint64) int {
	n, none := uint32(arg), ^uint32(0)
	if c.Short {
		n, none = n&0xffff, 0xffff
	}
	if n == none {
		return -1
	}
	return int(n)
}
