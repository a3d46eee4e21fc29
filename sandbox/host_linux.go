package sandbox

import "golang.org/x/sys/unix"

// cpus are those that this process may use, which in a job are fewer than the machine has.
func cpus() int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 1
	}
	return set.Count()
}
