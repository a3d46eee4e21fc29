package child

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestNumbers holds the tables that are indexed by the kernel's numbers to those numbers.
func TestNumbers(t *testing.T) {
	for n, name := range map[int]string{unix.CAP_CHOWN: "CHOWN", unix.CAP_SYS_ADMIN: "SYS_ADMIN", unix.CAP_MKNOD: "MKNOD", unix.CAP_AUDIT_READ: "AUDIT_READ", unix.CAP_LAST_CAP: "CHECKPOINT_RESTORE"} {
		if capNames[n] != name {
			t.Errorf("capability %d is %s here, %s in the kernel", n, capNames[n], name)
		}
	}
	for n, name := range map[int]string{
		unix.RLIMIT_CPU: "cpu", unix.RLIMIT_FSIZE: "fsize", unix.RLIMIT_DATA: "data", unix.RLIMIT_STACK: "stack", unix.RLIMIT_CORE: "core",
		unix.RLIMIT_RSS: "rss", unix.RLIMIT_NPROC: "nproc", unix.RLIMIT_NOFILE: "nofile", unix.RLIMIT_MEMLOCK: "memlock", unix.RLIMIT_AS: "as",
		unix.RLIMIT_LOCKS: "locks", unix.RLIMIT_SIGPENDING: "sigpending", unix.RLIMIT_MSGQUEUE: "msgqueue", unix.RLIMIT_NICE: "nice",
		unix.RLIMIT_RTPRIO: "rtprio", unix.RLIMIT_RTTIME: "rttime",
	} {
		if limitNames[n] != name {
			t.Errorf("limit %d is %s here, %s in the kernel", n, limitNames[n], name)
		}
	}
}
