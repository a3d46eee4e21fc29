package layer

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// extractor makes the tree. Everything is done relative to descriptors of folders that were resolved
// inside the root, with calls that do not follow a last component.
type extractor struct {
	ctx    context.Context
	dir    string
	root   int // fs/, for reading
	umask  uint32
	side   bool
	hollow bool // files are holes
	owners *ownersWriter
	info   Info
	warned map[string]int // by kind

	dirs     map[string]place // open parents, by the name that entries use
	lastName string
	last     place
	closing  []int // forgotten parents, one of which the current entry may still need
	limits   Limits

	entries int // that were begun
	detours int // components of links that were followed for them

	pending   folders // until the end, or until they are too many
	flushFrom int64   // bytes of pending
	flushAt   int64
	flushed   bool // some are finished already
	finishing bool

	hides  marks
	hidden hiddenNames
	cause  entry // the last one's time: that of what is made at the end
	union  unionFolders

	out   openFile
	files int // number of the last F record that was done
	moved places
}

// openFile is the file whose contents are coming in.
type openFile struct {
	fd    int
	entry entry
	real  string
	off   int64
	hole  bool // the last part was not written
}

const createFlags = unix.O_CREAT | unix.O_EXCL | unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func newExtractor(ctx context.Context, dir string, o ApplyOptions) (*extractor, error) {
	path := filepath.Join(dir, "fs")
	root, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	x := &extractor{
		ctx: ctx, dir: dir, root: root, umask: umask(), side: !o.NoSide, hollow: o.skeleton, warned: map[string]int{},
		dirs: map[string]place{}, pending: folders{m: map[string]dirAttrs{}}, last: place{fd: root, plain: true},
		limits: o.Limits, flushFrom: flushAt,
	}
	if o.flushAt > 0 {
		x.flushFrom = o.flushAt
	}
	x.flushAt = x.flushFrom
	x.out.fd = -1
	if x.side || x.hollow {
		x.owners = newOwnersWriter(dir)
	}
	// An inherited default ACL would change the mode of everything that is made below.
	for _, a := range []string{"system.posix_acl_default", "system.posix_acl_access"} {
		unix.Fremovexattr(root, a)
	}
	return x, nil
}

// umask of this process, so that most files need no chmod. If it cannot be read, everything does.
func umask() uint32 {
	b, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "Umask:"); ok {
				if n, err := strconv.ParseUint(strings.TrimSpace(v), 8, 32); err == nil {
					return uint32(n)
				}
			}
		}
	}
	return 0o777
}

func (x *extractor) close() error {
	if x.out.fd >= 0 {
		unix.Close(x.out.fd)
	}
	x.forgetDirs()
	x.closeForgotten()
	unix.Close(x.root)
	if x.owners != nil {
		return x.owners.close()
	}
	return nil
}

// fail adds the entry, the words for a full disk, and what helps on one that lacks something.
func (x *extractor) fail(name, op string, err error) error {
	if err == unix.EOPNOTSUPP {
		err = hint.With(err, "the store's file system cannot hold this layer: set SANDBOX_STORE to a folder on another disk; sandbox doctor says what is missing")
	}
	return fmt.Errorf("entry %q: %w", shown(name), store.Space(&os.PathError{Op: op, Path: filepath.Join(x.dir, "fs"), Err: err}, op, x.dir))
}

func (x *extractor) warn(kind, format string, args ...any) {
	if x.warned[kind]++; x.warned[kind] == 1 {
		x.info.Warnings = append(x.info.Warnings, fmt.Sprintf(format, args...))
	}
}

// odd says how much is not as the tar has it.
func (x *extractor) odd() string {
	var parts []string
	for _, k := range []struct{ kind, one, many string }{
		{"id", "1 owner that cannot exist is nobody (65534)", "%d owners that cannot exist are nobody (65534)"},
		{"xattr", "1 attribute that the file system cannot hold is kept for exports only", "%d attributes that the file system cannot hold are kept for exports only"},
		{"type", "1 entry of an unknown kind is left out", "%d entries of an unknown kind are left out"},
	} {
		switch n := x.warned[k.kind]; n {
		case 0:
		case 1:
			parts = append(parts, k.one)
		default:
			parts = append(parts, fmt.Sprintf(k.many, n))
		}
	}
	return strings.Join(parts, ", ")
}

// do makes one entry, or writes more of the one before.
func (x *extractor) do(o *op) error {
	if o.more {
		return x.write(o)
	}
	x.closeForgotten()
	x.entries++
	e := &o.entry
	x.cause = entry{sec: e.sec, nsec: e.nsec}
	if len(x.pending.m) == 0 { // as long as the root has no entry of its own
		x.pending.set("", dirAttrs{mode: 0o755, inherit: true, sec: e.sec, nsec: e.nsec})
	}
	if err := x.within(); err != nil {
		return fmt.Errorf("entry %q: %w", shown(e.name), err)
	}
	if e.name == "" {
		if e.kind != tar.TypeDir {
			return fmt.Errorf("entry %q: the root of a layer is a directory", e.name)
		}
		return x.setDir(place{fd: x.root, plain: true}, ".", "", e)
	}
	dirName, base := split(e.name)
	p, err := x.parent(dirName, e)
	if err != nil {
		return fmt.Errorf("entry %q: %w", shown(e.name), err)
	}
	if strings.HasPrefix(base, whPrefix) {
		return x.whiteout(p, base, e)
	}
	if e.kind == tar.TypeReg {
		if err := x.create(p, base, e); err != nil {
			return err
		}
		return x.write(o)
	}
	return x.special(p, base, e)
}

func (x *extractor) create(p place, base string, e *entry) error {
	mode := e.mode & 0o777
	if len(e.xattrs) > 0 {
		mode |= 0o200 // attributes need the right to write, not only an open file
	}
	fd, err := unix.Openat(p.fd, base, createFlags, mode)
	if err == unix.EEXIST {
		if _, err := x.displace(p, base, e); err != nil {
			return err
		}
		fd, err = unix.Openat(p.fd, base, createFlags, mode)
	}
	if err != nil {
		return x.fail(e.name, "create", err)
	}
	x.out = openFile{fd: fd, entry: *e}
	if e.record > 0 && !p.plain {
		x.moved.alias(e.record, join(p.real, base))
	}
	if x.noted(e) {
		x.out.real = join(p.real, base)
	}
	return nil
}

// write appends contents. Long runs of zeros become holes: they cost nothing then, in a bomb too.
func (x *extractor) write(o *op) error {
	f := &x.out
	if x.hollow && len(o.data) > 0 || len(o.data) >= 64<<10 && allZero(o.data) {
		f.off += int64(len(o.data))
		f.hole = true
	} else {
		for b := o.data; len(b) > 0; {
			n, err := unix.Pwrite(f.fd, b, f.off)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return x.fail(f.entry.name, "write", err)
			}
			b = b[n:]
			f.off += int64(n)
			f.hole = false
		}
	}
	if !o.last {
		return nil
	}
	return x.finishFile()
}

func (x *extractor) finishFile() error {
	f := &x.out
	e := &f.entry
	if f.hole {
		if err := unix.Ftruncate(f.fd, f.off); err != nil {
			return x.fail(e.name, "truncate", err)
		}
	}
	var kept map[string]string
	if len(e.xattrs) > 0 {
		var err error
		if kept, err = x.setXattrs(f.fd, e); err != nil {
			return err
		}
	}
	// After the contents: writing clears the set-user-id bit.
	if e.mode&0o7000 != 0 || e.mode&x.umask != 0 || len(e.xattrs) > 0 {
		if err := unix.Fchmod(f.fd, e.mode); err != nil {
			return x.fail(e.name, "chmod", err)
		}
	}
	if err := setTime(f.fd, e.sec, e.nsec); err != nil {
		return x.fail(e.name, "set the time", err)
	}
	fd := f.fd
	f.fd = -1
	if err := unix.Close(fd); err != nil {
		return x.fail(e.name, "close", err)
	}
	if e.record > 0 {
		x.files = e.record
	}
	x.note(f.real, e, kept)
	return nil
}

func allZero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// utimeOmit leaves the access time as it is.
const utimeOmit = (1 << 30) - 2

// setTime is futimens, which x/sys has only by way of /proc.
func setTime(fd int, sec, nsec int64) error {
	ts := [2]unix.Timespec{{Nsec: utimeOmit}, unix.NsecToTimespec(nsec)}
	ts[1].Sec += sec
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func setTimeAt(dir int, name string, sec, nsec int64) error {
	ts := [2]unix.Timespec{{Nsec: utimeOmit}, unix.NsecToTimespec(nsec)}
	ts[1].Sec += sec
	return unix.UtimesNanoAt(dir, name, ts[:], unix.AT_SYMLINK_NOFOLLOW)
}
