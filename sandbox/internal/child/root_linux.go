package child

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// Rung is a way to tell overlay its layers, newest first. The child goes down by itself when the
// kernel does not know one.
type Rung int

// The rungs.
const (
	ByDescriptor Rung = iota // fsconfig with descriptors, Linux 6.13
	ByName                   // fsconfig, one string per layer, Linux 6.7
	ByOption                 // mount(2), one string of 4 KiB for all
)

const (
	dirPath    = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	emptyPath  = unix.MOVE_MOUNT_F_EMPTY_PATH
	cloneTree  = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_RECURSIVE
	maxLayers  = 500 // the kernel's
	setFlag    = unix.FSCONFIG_SET_FLAG
	setString  = unix.FSCONFIG_SET_STRING
	setFD      = unix.FSCONFIG_SET_FD
	fsCreate   = unix.FSCONFIG_CMD_CREATE
	noAttr     = 0
	attrNoSUID = unix.MOUNT_ATTR_NOSUID
	attrNoDev  = unix.MOUNT_ATTR_NODEV
	attrNoExec = unix.MOUNT_ATTR_NOEXEC
)

// sources takes what must be taken before the new root is attached: it is attached on top of "/",
// so a later recursive clone of "/" would contain it.
func (k *compiler) sources() {
	k.rootfs = map[string]arg{}
	for i := range k.s.Ops {
		op := &k.s.Ops[i]
		if op.Kind == spec.Bind && op.Source == "/" && !has(op.Flags, "inside") && k.rootfs["/"] == (arg{}) {
			k.labelOp(op, op.Source)
			k.rootfs["/"] = k.hostTree("/", none)
		}
	}
}

// none is no target: the error ends the start.
const none = int32(-2)

// hostTree clones a subtree of the host; if it is missing the program goes on at missing.
func (k *compiler) hostTree(path string, missing int32) arg {
	r := k.reg()
	in := k.call(unix.SYS_OPEN_TREE, cwd, k.str(path), num(cloneTree)).to(r)
	if missing != none {
		in.or(missing, unix.ENOENT, unix.ENOTDIR)
	}
	return r
}

// makeRoot makes the new root and attaches it on top of "/": there it is in our mount namespace,
// as later mounts need it, and no path of the host changes.
func (k *compiler) makeRoot() error {
	r := &k.s.Root
	if r.Bind != "" {
		k.root = k.reg()
		k.label("root", "root", r.Bind, "")
		k.call(unix.SYS_OPEN_TREE, cwd, k.str(r.Bind), num(cloneTree)).to(k.root)
		k.attach(k.root)
		return nil
	}
	if len(r.Lowers) == 0 {
		return errors.New("root without layers")
	}
	if len(r.Lowers) > maxLayers {
		return fmt.Errorf("an overlay of the kernel takes %d layers, and this sandbox has %d", maxLayers, len(r.Lowers))
	}
	lowers := make([]arg, len(r.Lowers))
	for i, l := range r.Lowers { // topmost first, as overlay wants them
		n := len(lowers) - 1 - i
		lowers[n] = k.reg()
		k.label("open layer", "root", l.Path, l.Why)
		k.call(unix.SYS_OPENAT, cwd, k.str(l.Path), num(dirPath)).to(lowers[n])
	}
	k.root = k.reg()
	done := k.target()
	if r.Upper != "" {
		upper, work := k.reg(), k.reg()
		k.label("open upper layer", "root", r.Upper, "")
		k.call(unix.SYS_OPENAT, cwd, k.str(r.Upper), num(dirPath)).to(upper)
		k.label("open upper layer", "root", r.Work, "")
		k.call(unix.SYS_OPENAT, cwd, k.str(r.Work), num(dirPath)).to(work)
		refused := none
		if r.Volatile { // nothing of it is kept: memory will do where the file system cannot
			refused = k.target()
		}
		k.overlay(lowers, upper, work, refused, done)
		if refused == none {
			k.place(done)
			k.attach(k.root)
			return nil
		}
		k.place(refused)
	}
	upper, work := k.tmpfsUpper()
	made := k.target()
	k.overlay(lowers, upper, work, none, made)
	k.place(made)
	k.label("upper layer in memory", "root", "", "")
	k.call(unix.SYS_UMOUNT2, k.str("/"), num(unix.MNT_DETACH)) // overlay has its own reference
	k.place(done)
	k.attach(k.root)
	return nil
}

func (k *compiler) attach(m arg) {
	k.label("attach root", "root", "/", "")
	k.call(unix.SYS_MOVE_MOUNT, m, k.str(""), cwd, k.str("/"), num(emptyPath))
}

// tmpfsUpper attaches its mount because older kernels refuse an upper layer on a detached one.
func (k *compiler) tmpfsUpper() (upper, work arg) {
	k.label("upper layer in memory", "root", "", "")
	m := k.fs("tmpfs", nil, attrNoSUID|attrNoDev, none)
	k.attach(m)
	upper, work = k.reg(), k.reg()
	k.call(unix.SYS_MKDIRAT, m, k.str("upper"), num(0o755))
	k.call(unix.SYS_MKDIRAT, m, k.str("work"), num(0o755))
	k.call(unix.SYS_OPENAT, m, k.str("upper"), num(dirPath)).to(upper)
	k.call(unix.SYS_OPENAT, m, k.str("work"), num(dirPath)).to(work)
	return upper, work
}

// fs makes a file system and gives its detached mount. After EPERM it goes on at refused.
func (k *compiler) fs(kind string, options []string, attr int, refused int32) arg {
	fs, m := k.reg(), k.reg()
	k.call(unix.SYS_FSOPEN, k.str(kind), num(unix.FSOPEN_CLOEXEC)).to(fs)
	k.call(unix.SYS_FSCONFIG, fs, num(setString), k.str("source"), k.str(kind), num(0)).ok(unix.EINVAL)
	for _, o := range options {
		if name, value, found := strings.Cut(o, "="); found {
			k.call(unix.SYS_FSCONFIG, fs, num(setString), k.str(name), k.str(value), num(0))
		} else {
			k.call(unix.SYS_FSCONFIG, fs, num(setFlag), k.str(name), num(0), num(0))
		}
	}
	create := k.call(unix.SYS_FSCONFIG, fs, num(fsCreate), num(0), num(0), num(0))
	if refused != none {
		create.or(refused, unix.EPERM)
	}
	mount := k.call(unix.SYS_FSMOUNT, fs, num(unix.FSMOUNT_CLOEXEC), num(attr)).to(m)
	if refused != none {
		mount.or(refused, unix.EPERM)
	}
	k.call(unix.SYS_CLOSE, fs)
	return m
}

// overlay mounts the layers into k.root and jumps to done. userxattr: trusted.* is not ours to set,
// and without it removing a folder of a lower layer fails with EIO.
func (k *compiler) overlay(lowers []arg, upper, work arg, refused, done int32) {
	var errs []errnoT
	if refused != none {
		errs = []errnoT{unix.EINVAL, unix.EOPNOTSUPP, unix.EREMOTE}
	}
	k.label("mount overlay", "root", k.s.Root.Upper, "")
	byName, byOption := k.target(), k.target()
	if k.c.Rung <= ByDescriptor {
		fs := k.reg()
		k.call(unix.SYS_FSOPEN, k.str("overlay"), num(unix.FSOPEN_CLOEXEC)).to(fs)
		for i, l := range lowers {
			in := k.call(unix.SYS_FSCONFIG, fs, num(setFD), k.str("lowerdir+"), num(0), l)
			if i == 0 {
				in.or(byName, unix.EINVAL)
			}
		}
		k.call(unix.SYS_FSCONFIG, fs, num(setFD), k.str("upperdir"), num(0), upper).or(refused, errs...)
		k.call(unix.SYS_FSCONFIG, fs, num(setFD), k.str("workdir"), num(0), work).or(refused, errs...)
		k.overlayEnd(fs, refused, done, errs)
	}
	k.place(byName)
	lo, up, wk := k.fixed(lowers, upper, work)
	if k.c.Rung <= ByName {
		fs := k.reg()
		k.call(unix.SYS_FSOPEN, k.str("overlay"), num(unix.FSOPEN_CLOEXEC)).to(fs)
		for i, n := range lo {
			in := k.call(unix.SYS_FSCONFIG, fs, num(setString), k.str("lowerdir+"), k.str("/proc/self/fd/"+n), num(0))
			if i == 0 {
				in.or(byOption, unix.EINVAL)
			}
		}
		k.call(unix.SYS_FSCONFIG, fs, num(setString), k.str("upperdir"), k.str("/proc/self/fd/"+up), num(0)).or(refused, errs...)
		k.call(unix.SYS_FSCONFIG, fs, num(setString), k.str("workdir"), k.str("/proc/self/fd/"+wk), num(0)).or(refused, errs...)
		k.overlayEnd(fs, refused, done, errs)
	}
	k.place(byOption)
	k.overlayOption(lo, up, wk, refused, done, errs)
}

func (k *compiler) overlayEnd(fs arg, refused, done int32, errs []errnoT) {
	k.call(unix.SYS_FSCONFIG, fs, num(setString), k.str("source"), k.str("overlay"), num(0))
	k.call(unix.SYS_FSCONFIG, fs, num(setFlag), k.str("userxattr"), num(0), num(0))
	if k.s.Root.Volatile && k.s.Root.Upper != "" {
		k.call(unix.SYS_FSCONFIG, fs, num(setFlag), k.str("volatile"), num(0), num(0)).ok(unix.EINVAL)
	}
	k.call(unix.SYS_FSCONFIG, fs, num(fsCreate), num(0), num(0), num(0)).or(refused, errs...)
	k.call(unix.SYS_FSMOUNT, fs, num(unix.FSMOUNT_CLOEXEC), num(noAttr)).to(k.root)
	k.call(unix.SYS_CLOSE, fs).then(done)
}

// fixed gives descriptors the numbers that names in /proc/self/fd need.
func (k *compiler) fixed(lowers []arg, upper, work arg) (lo []string, up, wk string) {
	name := func(fd arg) string {
		n := k.next
		k.next++
		k.call(unix.SYS_DUP3, fd, num(n), num(unix.O_CLOEXEC))
		return strconv.Itoa(n)
	}
	k.next = max(k.next, k.keptAs(len(k.c.Files))+k.regs+16) // above every number that the kernel chose so far
	lo = make([]string, len(lowers))
	for i, l := range lowers {
		lo[i] = name(l)
	}
	return lo, name(upper), name(work)
}

// overlayOption is for kernels before 6.7: mount(2) in /proc/self/fd, where names are short.
func (k *compiler) overlayOption(lo []string, up, wk string, refused, done int32, errs []errnoT) {
	dir, flags := k.reg(), ",userxattr"
	if k.s.Root.Volatile && k.s.Root.Upper != "" {
		flags += ",volatile"
	}
	k.call(unix.SYS_OPENAT, k.procSelf, k.str("fd"), num(dirPath)).to(dir)
	k.call(unix.SYS_FCHDIR, dir)
	// A place to mount on that is no path of the host: a tmpfs that goes away with the old root.
	place := k.fs("tmpfs", nil, attrNoSUID|attrNoDev, none)
	n := strconv.Itoa(k.next)
	k.attach(place)
	k.call(unix.SYS_DUP3, place, num(k.next), num(unix.O_CLOEXEC))
	k.call(unix.SYS_MKDIRAT, place, k.str("root"), num(0o755))
	k.next++
	options := k.str("lowerdir=" + strings.Join(lo, ":") + ",upperdir=" + up + ",workdir=" + wk + flags)
	failed := k.target()
	mount := k.call(unix.SYS_MOUNT, k.str("overlay"), k.str(n+"/root"), k.str("overlay"), num(0), options)
	if refused != none {
		mount.or(failed, errs...)
	}
	k.call(unix.SYS_OPEN_TREE, place, k.str("root"), num(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)).to(k.root)
	k.call(unix.SYS_UMOUNT2, k.str("/"), num(unix.MNT_DETACH)).then(done)
	if refused != none {
		k.place(failed)
		k.call(unix.SYS_UMOUNT2, k.str("/"), num(unix.MNT_DETACH)).then(refused)
	}
}
