package child

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// capNames are the capabilities without CAP_, by number.
var capNames = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE",
	"SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
	"AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

// capabilities keeps the named ones. The bounding set is cut first, which needs CAP_SETPCAP; the
// program executes as uid 0 and so gets what is permitted here, or as another uid and gets none.
func (k *compiler) capabilities() error {
	var keep uint64
	for _, name := range k.s.Process.Caps {
		short, ok := strings.CutPrefix(name, "CAP_")
		n := slices.Index(capNames[:], short)
		if !ok || n < 0 {
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
		if n >= len(capNames) { // of a newer kernel; the first that is unknown ends the list
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
