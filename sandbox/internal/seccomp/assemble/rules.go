package assemble

// What a call gets. Larger ones have conditions on arguments, see conditions.
type action int

const (
	allow  action = iota
	eperm         // not for programs in a sandbox
	enosys        // as if the kernel were older
	zero          // "root": succeeds without effect
	notify        // "owners": whoever started the sandbox answers
	socket
	socketcall
	ioctl
	clone
	personality
	mknod
	mknodat
	setfsid
)

// denied act on the machine, on other users or on kernel parts that a program in a container has no
// business with. What is denied by missing capabilities anyway is listed too: two walls.
var denied = []string{
	"acct", "quotactl", "quotactl_fd", "swapon", "swapoff", "reboot", "vhangup", "syslog",
	"kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module",
	"query_module", "get_kernel_syms", "bpf", "perf_event_open", "userfaultfd", "lookup_dcookie",
	"fanotify_init", "open_by_handle_at", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl",
	"add_key", "request_key", "keyctl",
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	"ioperm", "iopl", "vm86", "vm86old",
	"clock_settime", "clock_settime64", "settimeofday", "stime",
	"sethostname", "setdomainname",
	"mount", "umount", "umount2", "pivot_root", "setns", "unshare", "fsopen", "fsconfig", "fsmount",
	"fspick", "open_tree", "open_tree_attr", "move_mount", "mount_setattr",
	"lsm_set_self_attr",
}

// conditional look at their arguments.
var conditional = map[string]action{
	"socket": socket, "socketcall": socketcall, "ioctl": ioctl, "clone": clone, "personality": personality,
	"clone3": enosys, // its flags lie in memory, out of reach; libraries fall back to clone
}

// fake is the root emulation.
var fake = map[string]action{
	"chown": zero, "lchown": zero, "fchown": zero, "fchownat": zero, "chown32": zero, "lchown32": zero, "fchown32": zero,
	"setuid": zero, "setgid": zero, "setreuid": zero, "setregid": zero, "setresuid": zero, "setresgid": zero, "setgroups": zero,
	"setuid32": zero, "setgid32": zero, "setreuid32": zero, "setregid32": zero, "setresuid32": zero, "setresgid32": zero, "setgroups32": zero,
	"setfsuid": setfsid, "setfsgid": setfsid, "setfsuid32": setfsid, "setfsgid32": setfsid,
	"mknod": mknod, "mknodat": mknodat,
}

// syncs ask for what was written to be on the disk.
var syncs = []string{"fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "sync_file_range2", "arm_sync_file_range"}

// private are calls outside the numbered table: of 32-bit ARM, from its own range.
var private = map[string][2]uint32{"arm": {0xf0001, 0xf0006}}

// Asked are the calls of "owners", with the name of the constant of package seccomp that says how their
// arguments are read. The old ones of 32-bit programs have ids of 16 bits.
var Asked = map[string]string{
	"chown": "Chown", "lchown": "Lchown", "fchown": "Fchown", "fchownat": "Fchownat",
	"chown32": "Chown", "lchown32": "Lchown", "fchown32": "Fchown",
	"setuid": "Setuid", "setreuid": "Setreuid", "setresuid": "Setresuid",
	"setuid32": "Setuid", "setreuid32": "Setreuid", "setresuid32": "Setresuid",
}
