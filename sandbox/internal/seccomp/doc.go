// Package seccomp holds the system call filters of a sandbox, assembled for this architecture and
// its 32-bit sibling. Use [Filter].
//
// "container" is the usual profile of container engines, written as what it denies: every call that
// acts on the machine and not on the program (EPERM), AF_ALG and AF_VSOCK sockets, typing into a
// terminal (TIOCSTI, TIOCLINUX) and new namespaces. A call that these tables do not know gets ENOSYS,
// as from an older kernel, so that programs fall back. It is milder than the usual one for memory
// policy (numactl, MPI) and for pidfd_getfd and kcmp (which the kernel ties to ptrace permission),
// because training code uses them. 32-bit programs run under the same rules; their socketcall(2)
// cannot be looked into, so it cannot make sockets.
//
// "root" is the emulation of a root user with a single id: changing owners, ids and groups and making
// device nodes succeed without effect. It keeps no state. Asking for the fs ids (an argument of -1) and
// overlay whiteouts (device 0:0) are real. Two things a real chown does are left out: it does not clear
// setuid bits, and the new owner cannot be seen.
//
// "nosync" makes fsync and its kin succeed without effect, for builds: a package manager syncs
// thousands of times, a layer is synced once, as a whole, before it has its name. It goes with the
// other two.
//
// "owners" leaves chown and its kin, and the calls that change the user, to a listener (see [CallOf]) instead
// of answering them, so that what was asked for can be remembered. It goes with "container" and "root".
//
// The programs are tables in the binary, made by gen. They search the call number in halves: the kernel
// runs a new filter once for every call number, so a linear list would cost milliseconds at each start.
package seccomp

//go:generate go run ./gen
