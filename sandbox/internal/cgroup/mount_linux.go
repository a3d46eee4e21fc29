package cgroup

import (
	"os"

	"github.com/moby/sys/mountinfo"
)

// mount is where version 2 is mounted, and which group is at its top.
func (h Host) mount() (dir, root string) {
	f, err := os.Open(h.Root + "/proc/self/mountinfo")
	if err != nil {
		return "", ""
	}
	defer f.Close()
	mounts, _ := mountinfo.GetMountsFromReader(f, mountinfo.FSTypeFilter("cgroup2"))
	if len(mounts) == 0 {
		return "", ""
	}
	return mounts[0].Mountpoint, mounts[0].Root
}
