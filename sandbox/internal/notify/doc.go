// Package notify answers the calls that the seccomp filter "owners" leaves open, and remembers what they
// asked for (see package owner).
//
// Use [Serve] with the listener that the sandbox sent, then [Server.Close] when the sandbox is gone.
//
// It runs in the process that started the sandbox, outside of it: the user namespace belongs to this user,
// so the kernel gives it every right over the tasks inside (reading their memory, /proc/PID/fd, root and cwd),
// and an attribute set through a descriptor on the sandbox's root mount goes through its overlay. Nothing is
// started for it, and if this process dies so does the sandbox.
//
// A call is answered as the kernel would, but that its effect is a note: what the path or descriptor means
// is found from the task's own root, folder and descriptors, and only what lies on the sandbox's root mount
// is touched. What else is mounted (the project, /tmp, devices, other folders of the host) is never changed;
// chown there succeeds without effect, as it does where nothing is remembered. The memory of a task can change
// while it is read, and a path after it was looked at: the answer is about the inode that was opened, once.
package notify
