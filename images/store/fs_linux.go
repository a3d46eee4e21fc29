package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// filesystem is the magic number of the file system that path is on.
func filesystem(path string) (int64, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(path, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, &os.PathError{Op: "statfs", Path: path, Err: err}
		}
		return int64(st.Type), nil
	}
}

// File systems on which flock is missing, is local to one machine while others write too, or on which
// an overlay cannot have its layers, whatever a try would show. The numbers are from linux/magic.h and the vendors' sources.
func checkFilesystem(path string, magic int64) error {
	name := ""
	switch magic & 0xffffffff {
	case 0x6969:
		name = "NFS"
	case 0x01021997:
		name = "9p"
	case 0x0bd00bd0:
		name = "Lustre"
	case 0x47504653:
		name = "GPFS"
	case 0x19830326:
		name = "BeeGFS"
	case 0xaad7aaea:
		name = "PanFS"
	case 0x00c36400:
		name = "Ceph"
	case 0x5346414f, 0x6b414653:
		name = "AFS"
	case 0xff534d42, 0xfe534d42, 0x517b:
		name = "SMB"
	}
	if name == "" {
		return nil
	}
	return &FilesystemError{Path: path, Type: name}
}

// syncTree makes everything below dir durable: one call for the whole file system, since one fsync for
// each of a hundred thousand files takes minutes. dir must have been opened before the first write: the kernel tells a
// descriptor of failed writes since its open, and one that another process has been told of is told to no later descriptor.
func syncTree(dir *os.File) error {
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", dir.Name(), err)
	}
	return nil
}

// hold opens what path names, whatever it is, without looking into it.
func hold(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}
