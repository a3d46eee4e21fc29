package child

import (
	"fmt"

	"golang.org/x/sys/unix"
)

var capOf = map[string]int{
	"CAP_CHOWN": unix.CAP_CHOWN, "CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE, "CAP_DAC_READ_SEARCH": unix.CAP_DAC_READ_SEARCH,
	"CAP_FOWNER": unix.CAP_FOWNER, "CAP_FSETID": unix.CAP_FSETID, "CAP_KILL": unix.CAP_KILL, "CAP_SETGID": unix.CAP_SETGID,
	"CAP_SETUID": unix.CAP_SETUID, "CAP_SETPCAP": unix.CAP_SETPCAP, "CAP_LINUX_IMMUTABLE": unix.CAP_LINUX_IMMUTABLE,
	"CAP_NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE, "CAP_NET_BROADCAST": unix.CAP_NET_BROADCAST, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN,
	"CAP_NET_RAW": unix.CAP_NET_RAW, "CAP_IPC_LOCK": unix.CAP_IPC_LOCK, "CAP_IPC_OWNER": unix.CAP_IPC_OWNER,
	"CAP_SYS_MODULE": unix.CAP_SYS_MODULE, "CAP_SYS_RAWIO": unix.CAP_SYS_RAWIO, "CAP_SYS_CHROOT": unix.CAP_SYS_CHROOT,
	"CAP_SYS_PTRACE": unix.CAP_SYS_PTRACE, "CAP_SYS_PACCT": unix.CAP_SYS_PACCT, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN,
	"CAP_SYS_BOOT": unix.CAP_SYS_BOOT, "CAP_SYS_NICE": unix.CAP_SYS_NICE, "CAP_SYS_RESOURCE": unix.CAP_SYS_RESOURCE,
	"CAP_SYS_TIME": unix.CAP_SYS_TIME, "CAP_SYS_TTY_CONFIG": unix.CAP_SYS_TTY_CONFIG, "CAP_MKNOD": unix.CAP_MKNOD,
	"CAP_LEASE": unix.CAP_LEASE, "CAP_AUDIT_WRITE": unix.CAP_AUDIT_WRITE, "CAP_AUDIT_CONTROL": unix.CAP_AUDIT_CONTROL,
	"CAP_SETFCAP": unix.CAP_SETFCAP, "CAP_MAC_OVERRIDE": unix.CAP_MAC_OVERRIDE, "CAP_MAC_ADMIN": unix.CAP_MAC_ADMIN,
	"CAP_SYSLOG": unix.CAP_SYSLOG, "CAP_WAKE_ALARM": unix.CAP_WAKE_ALARM, "CAP_BLOCK_SUSPEND": unix.CAP_BLOCK_SUSPEND,
	"CAP_AUDIT_READ": unix.CAP_AUDIT_READ, "CAP_PERFMON": unix.CAP_PERFMON, "CAP_BPF": unix.CAP_BPF,
	"CAP_CHECKPOINT_RESTORE": unix.CAP_CHECKPOINT_RESTORE,
}

// capabilities keeps the named ones. The bounding set is cut first, which needs CAP_SETPCAP; the
// program executes as uid 0 and so gets what is permitted here, or as another uid and gets none.
func (k *compiler) capabilities() error {
	var keep uint64
	for _, name := range k.s.Process.Caps {
		n, ok := capOf[name]
		if !ok {
			return fmt.Errorf("unknown capability %q", name)
		}
		keep |= 1 << n
	}
	k.label("capabilities", "process", "", "")
	end := k.target()
	for n := range 64 {
		if keep&(1<<n) != 0 {
			continue
		}
		in := k.call(unix.SYS_PRCTL, num(unix.PR_CAPBSET_DROP), num(n))
		if n > unix.CAP_LAST_CAP { // of a newer kernel; the first that is unknown ends the list
			in.or(end, unix.EINVAL)
		} else {
			in.ok(unix.EINVAL)
		}
	}
	k.place(end)
	if !k.rootID {
		keep = 0
	}
	head, data := k.space(8), k.space(24)
	k.put32(head, 0, unix.LINUX_CAPABILITY_VERSION_3)
	for i := range 2 {
		half := uint32(keep >> (32 * i))
		k.put32(data, 12*i, half)   // effective
		k.put32(data, 12*i+4, half) // permitted; inheritable stays empty
	}
	k.call(unix.SYS_PRCTL, num(unix.PR_CAP_AMBIENT), num(unix.PR_CAP_AMBIENT_CLEAR_ALL), num(0), num(0), num(0)).ok(unix.EINVAL)
	k.call(unix.SYS_CAPSET, head, data)
	return nil
}
