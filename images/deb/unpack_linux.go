package deb

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"

	"golang.org/x/sys/unix"
)

// Unpack writes the files of a .deb below root, an open folder, as dpkg would: entries already
// there are replaced, but a folder stays, also where it is reached by a symlink (as /lib on a
// system with merged /usr). Owners are not set: everything is the caller's. Nothing outside of root
// is touched, whatever links the package or the tree hold.
//
// It gives the entries like [ReadContents] does. Two calls for one root may run at the same time;
// who wins where both have a path is not defined then.
func Unpack(deb io.Reader, root *os.File, o UnpackOptions) ([]Entry, error) {
	u := &unpacker{root: int(root.Fd()), parent: -1}
	defer u.close()
	defer runtime.KeepAlive(root) // else it may be closed while we use its number
	var out []Entry
	err := members(deb, plain(o, func(name string, r io.Reader) error {
		if name != "data" {
			return nil
		}
		return eachEntry(r, o.Limits.orDefault(), func(h *tar.Header, name string, body io.Reader) error {
			out = append(out, Entry{
				Name: name, Typeflag: h.Typeflag, Mode: h.Mode & 0o7777, UID: h.Uid, GID: h.Gid,
				Uname: h.Uname, Gname: h.Gname, Linkname: h.Linkname, Size: h.Size,
			})
			if o.Skip != nil && o.Skip(name) {
				return nil
			}
			return u.entry(h, name, body)
		})
	}))
	if err != nil {
		return nil, err
	}
	return out, u.finish()
}

type unpacker struct {
	root   int
	dir    string // the folder that parent is open at
	parent int    // -1 = none
	modes  []dirMode
	buf    []byte
}

type dirMode struct {
	name string
	mode uint32
}

func (u *unpacker) close() {
	if u.parent >= 0 {
		unix.Close(u.parent)
		u.parent = -1
	}
}

// in opens a path below the root. Every symlink on the way is resolved inside of the root, by the
// kernel, so it does not matter who changes the tree meanwhile.
func (u *unpacker) in(name string, flags uint64) (int, error) {
	if name == "" {
		name = "."
	}
	for {
		fd, err := unix.Openat2(u.root, name, &unix.OpenHow{
			Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		// EAGAIN: something was renamed while the kernel followed "..".
		if err != unix.EINTR && err != unix.EAGAIN {
			return fd, err
		}
	}
}

// folder opens the folder that name lies in, and keeps it for the next entry.
func (u *unpacker) folder(name string) (int, string, error) {
	dir, base := path.Split(name)
	dir = path.Clean("/" + dir)[1:]
	if u.parent >= 0 && dir == u.dir {
		return u.parent, base, nil
	}
	fd, err := u.in(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err == unix.ENOENT {
		if err = u.mkdirs(dir); err == nil {
			fd, err = u.in(dir, unix.O_PATH|unix.O_DIRECTORY)
		}
	}
	if err != nil {
		return -1, "", fmt.Errorf("open /%s: %w", dir, err)
	}
	u.close()
	u.dir, u.parent = dir, fd
	return fd, base, nil
}

// mkdirs makes a folder that the package has no entry for.
func (u *unpacker) mkdirs(dir string) error {
	if dir == "" {
		return nil
	}
	up, base := path.Split(dir)
	up = path.Clean("/" + up)[1:]
	fd, err := u.in(up, unix.O_PATH|unix.O_DIRECTORY)
	if err == unix.ENOENT {
		if err = u.mkdirs(up); err == nil {
			fd, err = u.in(up, unix.O_PATH|unix.O_DIRECTORY)
		}
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Mkdirat(fd, base, 0o755); err != nil && err != unix.EEXIST {
		return err
	}
	return nil
}

func (u *unpacker) entry(h *tar.Header, name string, body io.Reader) error {
	if name == "" {
		return nil // the root is made by whoever owns it
	}
	mode := uint32(h.Mode & 0o7777)
	dir, base, err := u.folder(name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.directory(dir, base, name, mode)
	case tar.TypeReg:
		return u.file(dir, base, mode, body)
	case tar.TypeSymlink:
		if err := clear(dir, base); err != nil {
			return err
		}
		return unix.Symlinkat(h.Linkname, dir, base)
	case tar.TypeLink:
		return u.hardlink(h.Linkname, dir, base)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return nil // needs root; a base gets its devices from the sandbox
	}
	return fmt.Errorf("entry of unknown type %q", h.Typeflag)
}

func (u *unpacker) directory(dir int, base, name string, mode uint32) error {
	err := unix.Mkdirat(dir, base, 0o700)
	switch {
	case err == unix.EEXIST:
		fd, err := u.in(name, unix.O_PATH|unix.O_DIRECTORY)
		if err == nil {
			return unix.Close(fd)
		}
		if err := clear(dir, base); err != nil {
			return err
		}
		if err := unix.Mkdirat(dir, base, 0o700); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	// A folder that may not be written to must still be filled: modes come last.
	if err := unix.Fchmodat(dir, base, mode|0o700, 0); err != nil {
		return err
	}
	if mode|0o700 != mode {
		u.modes = append(u.modes, dirMode{name, mode})
	}
	return nil
}

func (u *unpacker) file(dir int, base string, mode uint32, body io.Reader) error {
	if err := clear(dir, base); err != nil {
		return err
	}
	fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	if u.buf == nil {
		u.buf = make([]byte, 1<<17)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, body, u.buf); err != nil {
		return err
	}
	return unix.Fchmod(fd, mode)
}

func (u *unpacker) hardlink(target string, dir int, base string) error {
	name, err := inTree(target)
	if err != nil {
		return err
	}
	up, last := path.Split(name)
	from, err := u.in(path.Clean("/" + up)[1:], unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("link to /%s: %w", name, err)
	}
	defer unix.Close(from)
	if err := clear(dir, base); err != nil {
		return err
	}
	// Without AT_SYMLINK_FOLLOW the link is to what is there, never to what it points at.
	return unix.Linkat(from, last, dir, base, 0)
}

// clear removes what is at a name, but no folder with something in it.
func clear(dir int, base string) error {
	err := unix.Unlinkat(dir, base, 0)
	if errors.Is(err, unix.EISDIR) {
		err = unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
	}
	if err == unix.ENOENT {
		return nil
	}
	return err
}

func (u *unpacker) finish() error {
	for i := len(u.modes) - 1; i >= 0; i-- {
		fd, err := u.in(u.modes[i].name, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		err = unix.Fchmod(fd, u.modes[i].mode)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}
