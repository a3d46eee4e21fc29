package launch

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// cpus are those that this process may use, which in a job are fewer than the machine has.
func cpus() int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 1
	}
	return set.Count()
}

// memory is the machine's, in bytes; 0 if it cannot be known.
func memory() int64 {
	var si syscall.Sysinfo_t
	if syscall.Sysinfo(&si) != nil {
		return 0
	}
	return int64(si.Totalram) * int64(si.Unit)
}
