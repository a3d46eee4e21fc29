package child

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

type errnoT = syscall.Errno

const (
	inRoot    = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	realDir   = inRoot | unix.RESOLVE_NO_SYMLINKS
	insideFS  = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV
	moveEmpty = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	sizeHow   = unix.SizeofOpenHow
	statxMode = 28 // offset of stx_mode
	sizeAttr  = 32 // struct mount_attr
)

func has(list []string, s string) bool { return slices.Contains(list, s) }

func (k *compiler) labelOp(op *spec.Op, path string) {
	k.label(string(op.Kind), string(op.Kind), path, op.Why)
}

// ops compiles the operations in their order.
func (k *compiler) ops() error {
	for i := range k.s.Ops {
		op := &k.s.Ops[i]
		f := k.operation(op.Kind)
		if f == nil {
			return fmt.Errorf("unknown operation %q", op.Kind)
		}
		if op.Kind != spec.Loopup && (!path.IsAbs(op.Target) || path.Clean(op.Target) != op.Target || op.Target == "/") {
			return fmt.Errorf("%s: target %q is not an absolute, clean path below /", op.Kind, op.Target)
		}
		k.labelOp(op, op.Target)
		if err := f(op); err != nil {
			return fmt.Errorf("%s %s: %w", op.Kind, op.Target, err)
		}
	}
	return nil
}

func (k *compiler) operation(kind spec.Kind) func(*spec.Op) error {
	switch kind {
	case spec.Bind:
		return k.bind
	case spec.Device:
		return k.device
	case spec.Tmpfs:
		return k.tmpfs
	case spec.Proc:
		return k.proc
	case spec.Sysfs:
		return k.sysfs
	case spec.Devpts:
		return k.devpts
	case spec.Mqueue:
		return k.mqueue
	case spec.Dir:
		return k.dir
	case spec.File:
		return k.file
	case spec.Symlink:
		return k.symlink
	case spec.Lock:
		return k.lock
	case spec.Mask:
		return k.mask
	case spec.Loopup:
		return k.loopup
	}
	return nil
}

// at opens a path inside the new root. /dev, /proc and /sys must be real folders: an image where one
// is a link would have us mount, and make devices, somewhere else.
func (k *compiler) at(target string) (fd arg, in *insn) {
	fd = k.reg()
	flags, resolve := uint64(unix.O_PATH|unix.O_CLOEXEC), uint64(inRoot)
	if target == "/dev" || target == "/proc" || target == "/sys" {
		flags, resolve = dirPath, realDir
	}
	return fd, k.call(unix.SYS_OPENAT2, k.root, k.str(target), k.how(flags, resolve), num(sizeHow)).to(fd)
}

// put attaches a detached mount at a target and closes what is no longer needed.
func (k *compiler) put(m arg, target string) {
	t, _ := k.at(target)
	k.putAt(m, t, target)
}

func (k *compiler) putAt(m, t arg, target string) {
	k.call(unix.SYS_MOVE_MOUNT, m, k.str(""), t, k.str(""), num(moveEmpty))
	k.call(unix.SYS_CLOSE, t)
	k.mounts = append(k.mounts, mounted{target: target})
}

// owner is the tmpfs of ours that holds a path, and the path inside it.
func (k *compiler) owner(p string) (fs arg, rel string, ok bool) {
	for i := len(k.mounts) - 1; i >= 0; i-- {
		m := k.mounts[i]
		if rel, below := strings.CutPrefix(p, m.target+"/"); below {
			return m.reg, rel, m.tmpfs
		}
		if p == m.target {
			return arg{}, "", false
		}
	}
	return arg{}, "", false
}

// parent is the folder in a tmpfs of ours that a new name goes into.
func (k *compiler) parent(p string) (dir arg, name string, err error) {
	fs, rel, ok := k.owner(p)
	if !ok {
		return arg{}, "", fmt.Errorf("not below a tmpfs of this sandbox")
	}
	up, name := path.Split(rel)
	if up == "" {
		return fs, name, nil
	}
	dir = k.reg()
	k.call(unix.SYS_OPENAT2, fs, k.str(path.Clean(up)), k.how(dirPath, insideFS), num(sizeHow)).to(dir)
	return dir, name, nil
}

func (k *compiler) attr(flags []string) uint64 {
	var a uint64
	for _, f := range flags {
		switch f {
		case "ro":
			a |= unix.MOUNT_ATTR_RDONLY
		case "nosuid":
			a |= unix.MOUNT_ATTR_NOSUID
		case "nodev":
			a |= unix.MOUNT_ATTR_NODEV
		case "noexec":
			a |= unix.MOUNT_ATTR_NOEXEC
		case "nosymfollow":
			a |= unix.MOUNT_ATTR_NOSYMFOLLOW
		}
	}
	return a
}

// restrict sets mount attributes on a whole detached tree.
func (k *compiler) restrict(m arg, attr uint64) {
	if attr == 0 {
		return
	}
	a := k.space(sizeAttr)
	k.put64(a, 0, attr)
	k.call(unix.SYS_MOUNT_SETATTR, m, k.str(""), num(unix.AT_EMPTY_PATH|unix.AT_RECURSIVE), a, num(sizeAttr))
}

func (k *compiler) bind(op *spec.Op) error {
	end := k.target()
	missing := none
	if op.Optional {
		missing = end
	}
	k.labelOp(op, op.Source)
	var m arg
	switch {
	case has(op.Flags, "inside"):
		m = k.reg()
		src, open := k.at(op.Source)
		if op.Optional {
			open.or(end, unix.ENOENT, unix.ENOTDIR)
		}
		k.call(unix.SYS_OPEN_TREE, src, k.str(""), num(cloneTree|unix.AT_EMPTY_PATH)).to(m)
		k.call(unix.SYS_CLOSE, src)
	case op.Data != "":
		m = k.below(op, end)
	case op.Source == "/":
		m = k.rootfs["/"]
	default:
		m = k.hostTree(op.Source, missing)
	}
	k.restrict(m, k.attr(op.Flags))
	k.labelOp(op, op.Target)
	k.put(m, op.Target)
	k.call(unix.SYS_CLOSE, m)
	k.place(end)
	return nil
}

// below takes a source that must not lead out of the folder op.Data: what is inside it may have been
// written by a sandbox, which could have left a link to anywhere.
func (k *compiler) below(op *spec.Op, missing int32) arg {
	dir, src, m := k.reg(), k.reg(), k.reg()
	rel, err := filepath.Rel(op.Data, op.Source)
	if err != nil {
		rel = ".."
	}
	k.call(unix.SYS_OPENAT, cwd, k.str(op.Data), num(dirPath)).to(dir)
	open := k.call(unix.SYS_OPENAT2, dir, k.str(rel), k.how(unix.O_PATH|unix.O_CLOEXEC, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_MAGICLINKS), num(sizeHow)).to(src)
	if op.Optional {
		open.or(missing, unix.ENOENT, unix.ENOTDIR)
	}
	k.call(unix.SYS_OPEN_TREE, src, k.str(""), num(cloneTree|unix.AT_EMPTY_PATH)).to(m)
	k.call(unix.SYS_CLOSE, src)
	k.call(unix.SYS_CLOSE, dir)
	return m
}

// statMode loads the file type of a descriptor into a register.
func (k *compiler) statMode(fd arg) arg {
	st, mode := k.space(256), k.reg()
	k.call(unix.SYS_STATX, fd, k.str(""), num(unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT), num(unix.STATX_TYPE), st)
	k.call(doLoad16, num(st.v+statxMode), num(unix.S_IFMT)).to(mode)
	return mode
}

func (k *compiler) device(op *spec.Op) error {
	end := k.target()
	m := k.reg()
	k.labelOp(op, op.Source)
	open := k.call(unix.SYS_OPEN_TREE, cwd, k.str(op.Source), num(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)).to(m)
	if op.Optional {
		open.or(end, unix.ENOENT, unix.ENOTDIR)
	}
	k.call(doEqual, k.statMode(m), num(unix.S_IFCHR), num(unix.ENODEV))
	attr := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC)
	if k.c.UID == 0 {
		// Root inside owns the node, which is the host's: chmod 0755 /dev/null would stop every other
		// user of the machine. A read-only mount keeps mode and owner; reading and writing the device
		// itself is not its business.
		attr |= unix.MOUNT_ATTR_RDONLY
	}
	k.restrict(m, attr)
	k.labelOp(op, op.Target)
	if _, _, ours := k.owner(op.Target); ours {
		dir, name, err := k.parent(op.Target)
		if err != nil {
			return err
		}
		k.call(unix.SYS_MKNODAT, dir, k.str(name), num(unix.S_IFREG|0o666), num(0))
		k.call(unix.SYS_MOVE_MOUNT, m, k.str(""), dir, k.str(name), num(emptyPath))
	} else {
		k.put(m, op.Target)
	}
	k.call(unix.SYS_CLOSE, m)
	k.place(end)
	return nil
}

func (k *compiler) tmpfs(op *spec.Op) error {
	var options []string
	if op.Data != "" {
		options = strings.Split(op.Data, ",")
	}
	m := k.fs("tmpfs", options, int(k.attr(op.Flags))|attrNoSUID|attrNoDev, none)
	k.put(m, op.Target)
	k.mounts[len(k.mounts)-1] = mounted{op.Target, true, m}
	return nil
}

// dir makes a folder and those above it. It tries the common case first: only the last is missing.
func (k *compiler) dir(op *spec.Op) error {
	mode := op.Mode
	if mode == 0 {
		mode = 0o755
	}
	if fs, rel, ours := k.owner(op.Target); ours && !strings.Contains(rel, "/") {
		k.call(unix.SYS_MKDIRAT, fs, k.str(rel), num(mode)).ok(unix.EEXIST)
		return nil
	}
	end, slow := k.target(), k.target()
	_, open := k.at(op.Target)
	open.then(end).or(slow, unix.ENOENT)
	k.place(slow)
	parts := strings.Split(op.Target[1:], "/")
	dir := k.root
	for i := range parts {
		prefix := "/" + strings.Join(parts[:i+1], "/")
		there, make := k.target(), k.target()
		fd, in := k.at(prefix)
		in.then(there).or(make, unix.ENOENT)
		k.place(make)
		m := num(0o755)
		if i == len(parts)-1 {
			m = num(mode)
		}
		k.call(unix.SYS_MKDIRAT, dir, k.str(parts[i]), m)
		k.call(unix.SYS_OPENAT2, k.root, k.str(prefix), k.how(unix.O_PATH|unix.O_CLOEXEC, inRoot), num(sizeHow)).to(fd)
		k.place(there)
		dir = fd
	}
	k.place(end)
	return nil
}

func (k *compiler) file(op *spec.Op) error {
	if _, _, ours := k.owner(op.Target); !ours && op.Content == "" {
		up, name := path.Split(op.Target)
		dir, _ := k.at(path.Clean(up))
		k.call(unix.SYS_MKNODAT, dir, k.str(name), num(unix.S_IFREG|max(op.Mode, 0o600)), num(0)).ok(unix.EEXIST)
		k.call(unix.SYS_CLOSE, dir)
		return nil
	}
	dir, name, err := k.parent(op.Target)
	if err != nil {
		return err
	}
	mode := op.Mode
	if mode == 0 {
		mode = 0o644
	}
	if op.Content == "" {
		k.call(unix.SYS_MKNODAT, dir, k.str(name), num(unix.S_IFREG|mode), num(0))
		return nil
	}
	fd, n := k.reg(), k.reg()
	k.call(unix.SYS_OPENAT, dir, k.str(name), num(unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC), num(mode)).to(fd)
	k.call(unix.SYS_WRITE, fd, k.bytes([]byte(op.Content)), num(len(op.Content))).to(n)
	k.call(doEqual, n, num(len(op.Content)), num(unix.ENOSPC))
	k.call(unix.SYS_CLOSE, fd)
	return nil
}

func (k *compiler) symlink(op *spec.Op) error {
	dir, name, err := k.parent(op.Target)
	if err != nil {
		return err
	}
	k.call(unix.SYS_SYMLINKAT, k.str(op.Source), dir, k.str(name))
	return nil
}
