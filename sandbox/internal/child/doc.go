// Package child compiles a [spec.Spec] to a table of raw system calls and runs it in a cloned child.
//
// Use [Compile], then [Program.Fork], then [Child.Recv] until the exit message.
//
// The child is a plain copy of this process: it has one thread, no scheduler and no collector, so it
// may not allocate, grow its stack or call into the runtime. Everything it needs (strings, structures,
// numbers) is laid out by Compile before the clone. It sets up its namespaces, stays as pid 1 of the
// new pid namespace, starts the program as its child and reports on a socket. No second program start
// is paid, and nothing of this program is mapped in the process that runs foreign code.
package child
