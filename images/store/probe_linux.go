package store

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Probe tries out what a store needs of a file system, in the folder dir, and leaves nothing. What is missing is a
// *[FilesystemError]; a folder that cannot be written, or has no room, tells nothing. Without attributes of users,
// which memory has only since Linux 6.6, a store is of use all the same.
//
// It takes some 30 system calls: [Open] does it when a store is made, and `sandbox doctor` does.
func Probe(dir string) error {
	tmp, err := os.MkdirTemp(dir, ".probe-")
	if err != nil {
		return nil
	}
	defer RemoveAll(tmp)
	for _, p := range []struct {
		what string
		try  func(dir string) error
	}{
		{"locks that hold between processes", probeLocks},
		{"modes of files", probeModes},
		{"symbolic links", func(dir string) error { return os.Symlink("target", dir+"/link") }},
		{"replacing of a file by another", probeRename},
		{attributes, probeAttributes},
	} {
		sub := filepath.Join(tmp, "d")
		if err := os.Mkdir(sub, 0o700); err != nil {
			return nil
		}
		err := p.try(sub)
		RemoveAll(sub)
		switch {
		case err == nil:
		case readOnly(err) && !errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EMFILE), errors.Is(err, unix.EIO), errors.Is(err, unix.ENOENT):
			return nil
		default:
			magic, _ := filesystem(dir)
			return &FilesystemError{Path: dir, Type: fsName(magic), Missing: p.what, Usable: p.what == attributes}
		}
	}
	return nil
}

const attributes = "extended attributes of users"

var errNotKept = errors.New("not kept")

// probeLocks: the second of two descriptors must be kept out, as another process would be.
func probeLocks(dir string) error {
	var f [2]*os.File
	for i := range f {
		var err error
		if f[i], err = os.OpenFile(dir+"/lock", os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return err
		}
		defer f[i].Close()
	}
	if err := flock(f[0], unix.LOCK_EX); err != nil {
		return err
	}
	if err := flock(f[1], unix.LOCK_EX); err != errLocked {
		return errors.Join(errNotKept, err)
	}
	return nil
}

// probeAttributes tries what overlayfs writes on a writable layer.
func probeAttributes(dir string) error {
	const name = "user.overlay.opaque"
	if err := unix.Setxattr(dir, name, []byte("y"), 0); err != nil {
		return err
	}
	var v [4]byte
	if n, err := unix.Getxattr(dir, name, v[:]); err != nil || string(v[:n]) != "y" {
		return errors.Join(errNotKept, err)
	}
	return nil
}

func probeModes(dir string) error {
	f := dir + "/file"
	if err := os.WriteFile(f, nil, 0o600); err != nil {
		return err
	}
	for _, mode := range []os.FileMode{0o711, 0o444, 0o640} {
		if err := os.Chmod(f, mode); err != nil {
			return err
		}
		if fi, err := os.Lstat(f); err != nil || fi.Mode() != mode {
			return errors.Join(errNotKept, err)
		}
	}
	return nil
}

func probeRename(dir string) error {
	for _, f := range []string{"/old", "/new"} {
		if err := os.WriteFile(dir+f, []byte(f), 0o600); err != nil {
			return err
		}
	}
	if err := os.Rename(dir+"/new", dir+"/old"); err != nil {
		return err
	}
	if b, err := os.ReadFile(dir + "/old"); err != nil || string(b) != "/new" {
		return errors.Join(errNotKept, err)
	}
	return nil
}

// fsName is what a file system is called; the numbers are from linux/magic.h and the kernel's sources.
func fsName(magic int64) string {
	name := map[int64]string{
		0xef53: "ext4", 0x58465342: "XFS", 0x9123683e: "Btrfs", 0x01021994: "tmpfs", 0x858458f6: "ramfs", 0x794c7630: "overlayfs", 0x65735546: "FUSE",
		0x4d44: "FAT", 0x2011bab0: "exFAT", 0x5346544e: "NTFS", 0x7366746e: "NTFS", 0x2fc12fc1: "ZFS", 0xf2f52010: "F2FS", 0x5a3c69f0: "AuFS", 0xf15f: "eCryptfs",
	}[magic&0xffffffff]
	if name == "" {
		return "this file system"
	}
	return name
}
