// Command sandbox-engine is all of sandbox but the start of what is built already, which the front
// (cmd/sandbox) does by itself; the front executes it in its own place for everything else, with the
// same arguments, so its messages speak of `sandbox`.
//
// Start with root.go for the list of commands, run.go for the one that matters most, and
// docs/architecture.md for the way from here to execve.
package main

import (
	"os"
	"runtime/debug"
	"syscall"

	"github.com/4cc2e759/sandbox/sandbox/check"
)

func main() {
	check.Init() // does not return in a child of a probe
	// Layers must come out the same for everybody; what is private lies in folders made 0700.
	syscall.Umask(0o022)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // a pull's memory is buffers that are used again: 8 MiB less, no time more
	}
	os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
