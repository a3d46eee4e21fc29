// Package assemble turns the rules of package seccomp into filter programs, when the tables are
// generated and in tests. Use [Assemble]. It is not part of the binary.
package assemble
