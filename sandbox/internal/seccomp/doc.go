// Package seccomp holds the system call filters of a sandbox, assembled for this architecture.
// Use [Filter].
package seccomp
