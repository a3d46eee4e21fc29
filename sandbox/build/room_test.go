package build

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/4cc2e759/sandbox/images/store"
)

// A command can fail for want of room in one of its own small file systems while the store's disk has
// enough; a quota belongs to nobody but the store. (Full disks are met by the scripts store_full_*.)
func TestNoRoomIsTheStoresOwn(t *testing.T) {
	dir := t.TempDir()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	for said, quota := range map[string]bool{"tar: x: Cannot write: Disk quota exceeded": true, "cat: write error: Quota exceeded\n": true, "no such file": false} {
		if got := noRoom(dir, said); (got != nil) != quota || got != nil && !got.Quota {
			t.Errorf("%q: %v", said, got)
		}
	}
	little := uint64(st.Bavail)*uint64(st.Bsize) < littleRoom
	if got := noRoom(dir, "cp: error writing '/tmp/x': No space left on device"); (got != nil) != little {
		t.Errorf("%v, where less than a GiB is left: %t", got, little)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// The hint goes where the command's own words go; of our own programs the disk alone is told.
func TestAFullDiskHasItsHint(t *testing.T) {
	full := &store.SpaceError{Op: "write", Path: "/s", Err: syscall.ENOSPC}
	err := error(&ExitError{Args: []string{"sh"}, Code: 2, Output: "words", Room: full})
	if h := err.(interface{ Hint() string }).Hint(); h != full.Hint() || err.Error() != "sh exited with code 2:\nwords" {
		t.Errorf("%v, hint %q", err, h)
	}
	if got := dpkgError(err, "dpkg: error"); !errors.Is(got, syscall.ENOSPC) {
		t.Errorf("dpkg: %v", got)
	}
	if h := (&ExitError{Args: []string{"sh"}}).Hint(); h != "" {
		t.Errorf("hint %q", h)
	}
}
