package start

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/internal/child"
)

// rung chooses how overlay is told its layers, by the version of the kernel.
func rung() child.Rung {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return child.ByDescriptor
	}
	major, rest := number(u.Release[:])
	minor := 0
	if len(rest) > 0 {
		minor, _ = number(rest[1:])
	}
	switch v := major<<8 | minor; {
	case v >= 6<<8|13:
		return child.ByDescriptor
	case v >= 6<<8|7:
		return child.ByName
	}
	return child.ByOption
}

func number(b []byte) (n int, rest []byte) {
	for len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
		n, b = n*10+int(b[0]-'0'), b[1:]
	}
	return n, b
}

// startLimit is the soft limit of open files that this process was started with. The Go runtime
// raises its own to the hard limit; programs inside (select, loops over all descriptors) want the
// one that the user's shell has, and that is our parent.
func startLimit() uint64 {
	var l unix.Rlimit
	if pp := os.Getppid(); pp > 1 && unix.Prlimit(pp, unix.RLIMIT_NOFILE, nil, &l) == nil {
		return l.Cur
	}
	return 1024
}
