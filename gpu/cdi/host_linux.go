package cdi

import (
	"io/fs"
	"os"
	"os/user"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// number is the kind ("c", "b") and number of a device node.
func number(fi fs.FileInfo) (kind string, major, minor int64, ok bool) {
	st, isStat := fi.Sys().(*syscall.Stat_t)
	if !isStat || fi.Mode()&fs.ModeDevice == 0 {
		return "", 0, 0, false
	}
	kind = "b"
	if fi.Mode()&fs.ModeCharDevice != 0 {
		kind = "c"
	}
	return kind, int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev))), true
}

// closed says why this user cannot open a node for reading and writing, or "". A sandbox changes nothing
// about it: the node is the host's.
func closed(path string, fi fs.FileInfo) string {
	if unix.Access(path, unix.R_OK|unix.W_OK) == nil {
		return ""
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if ok && st.Mode&0o060 == 0o060 {
		return "it belongs to group " + group(int(st.Gid)) + ", in which you are not"
	}
	return "permission denied"
}

func member(gid int) bool {
	groups, err := os.Getgroups()
	return err == nil && (slices.Contains(groups, gid) || os.Getegid() == gid)
}

// group is a gid with its name, where it has one.
func group(gid int) string {
	n := decimal(gid)
	if g, err := user.LookupGroupId(n); err == nil {
		return g.Name + " (" + n + ")"
	}
	return n
}
