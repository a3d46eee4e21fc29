package child

import (
	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// ProcHidden is the label of a fresh /proc that the kernel refuses because the outer one is masked;
// then the start has to share the pid namespace.
const ProcHidden = "mount a fresh proc"

const procAttr = attrNoSUID | attrNoDev | attrNoExec

// proc mounts a fresh one. Where parts of the outer one are covered (inside other containers) the
// kernel only allows what shows no more than that: perhaps one without the covered parts, else the
// outer one itself, which shows the processes of the outer pid namespace.
func (k *compiler) proc(op *spec.Op) error {
	t, _ := k.at(op.Target)
	if k.c.NoPID || !has(namesOf(k.s.Unshare), "pid") {
		m := k.hostTree("/proc", none)
		k.putAt(m, t, op.Target)
		return nil
	}
	less, end := k.target(), k.target()
	m := k.fs("proc", nil, procAttr, less)
	k.putAt(m, t, op.Target)
	k.jump(end)
	k.place(less)
	k.label(ProcHidden, string(op.Kind), op.Target, op.Why)
	m = k.fs("proc", []string{"subset=pid"}, procAttr, none)
	k.call(unix.SYS_MOVE_MOUNT, m, k.str(""), t, k.str(""), num(moveEmpty))
	k.place(end)
	return nil
}

func namesOf(list []spec.Namespace) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = string(n)
	}
	return out
}

// sysfs shows the devices of a network namespace, so a fresh one needs an own one.
func (k *compiler) sysfs(op *spec.Op) error {
	t, _ := k.at(op.Target)
	end := k.target()
	if has(namesOf(k.s.Unshare), "net") {
		outer := k.target()
		m := k.fs("sysfs", nil, procAttr|unix.MOUNT_ATTR_RDONLY, outer)
		k.call(unix.SYS_MOVE_MOUNT, m, k.str(""), t, k.str(""), num(moveEmpty)).then(end)
		k.place(outer)
	}
	m := k.hostTree("/sys", none)
	k.restrict(m, unix.MOUNT_ATTR_RDONLY|procAttr)
	k.call(unix.SYS_MOVE_MOUNT, m, k.str(""), t, k.str(""), num(moveEmpty))
	k.place(end)
	k.mounts = append(k.mounts, mounted{target: op.Target})
	return nil
}

// devpts has no gid= option: with a single id there is no gid 5 to name.
func (k *compiler) devpts(op *spec.Op) error {
	m := k.fs("devpts", []string{"newinstance", "ptmxmode=0666", "mode=0620"}, attrNoSUID|attrNoExec, none)
	k.put(m, op.Target)
	k.terminal(m)
	return nil
}

// mqueue shows the queues of an IPC namespace; without an own one it is the host's, if there is one.
func (k *compiler) mqueue(op *spec.Op) error {
	end := k.target()
	var m arg
	if has(namesOf(k.s.Unshare), "ipc") {
		m = k.fs("mqueue", nil, procAttr, none)
	} else {
		m = k.hostTree("/dev/mqueue", end)
	}
	k.put(m, op.Target)
	k.place(end)
	return nil
}

// lock binds a path onto itself, read-only.
func (k *compiler) lock(op *spec.Op) error {
	end := k.target()
	t, open := k.at(op.Target)
	open.or(end, unix.ENOENT, unix.ENOTDIR)
	m := k.reg()
	k.call(unix.SYS_OPEN_TREE, t, k.str(""), num(cloneTree|unix.AT_EMPTY_PATH)).to(m)
	k.restrict(m, unix.MOUNT_ATTR_RDONLY)
	k.call(unix.SYS_MOVE_MOUNT, m, k.str(""), t, k.str(""), num(moveEmpty))
	k.call(unix.SYS_CLOSE, m)
	k.call(unix.SYS_CLOSE, t)
	k.place(end)
	return nil
}

// mask covers a folder with an empty one and a file with /dev/null.
func (k *compiler) mask(op *spec.Op) error {
	end, file := k.target(), k.target()
	t, open := k.at(op.Target)
	open.or(end, unix.ENOENT, unix.ENOTDIR)
	k.call(doEqual, k.statMode(t), num(unix.S_IFDIR), num(unix.EISDIR)).or(file, unix.EISDIR)
	m := k.fs("tmpfs", []string{"size=4k", "nr_inodes=2", "mode=755"}, procAttr|unix.MOUNT_ATTR_RDONLY, none)
	k.call(unix.SYS_MOVE_MOUNT, m, k.str(""), t, k.str(""), num(moveEmpty)).then(end)
	k.place(file)
	null := k.reg()
	k.call(unix.SYS_OPEN_TREE, cwd, k.str("/dev/null"), num(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)).to(null)
	k.call(doEqual, k.statMode(null), num(unix.S_IFCHR), num(unix.ENODEV))
	k.call(unix.SYS_MOVE_MOUNT, null, k.str(""), t, k.str(""), num(moveEmpty))
	k.call(unix.SYS_CLOSE, null)
	k.place(end)
	k.mounts = append(k.mounts, mounted{target: op.Target})
	return nil
}

func (k *compiler) loopup(op *spec.Op) error {
	k.label("bring up the loopback device", string(op.Kind), "lo", op.Why)
	s := k.reg()
	req := k.space(40) // struct ifreq: name, flags
	copy(k.mem[req.v:], "lo")
	k.mem[req.v+16] = unix.IFF_UP | unix.IFF_RUNNING
	k.call(unix.SYS_SOCKET, num(unix.AF_INET), num(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), num(0)).to(s)
	k.call(unix.SYS_IOCTL, s, num(unix.SIOCSIFFLAGS), req)
	k.call(unix.SYS_CLOSE, s)
	return nil
}
