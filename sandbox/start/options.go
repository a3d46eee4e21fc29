package start

import (
	"log/slog"
	"os"
)

// TTYMode says when a sandbox gets a terminal of its own.
type TTYMode int

const (
	// Auto makes one when standard input and output are terminals and the spec mounts devpts.
	Auto TTYMode = iota
	// Never passes the files on as they are.
	Never
)

// Options are what a start takes beside the spec. The zero value works.
type Options struct {
	// Stdin, Stdout and Stderr are given to the program; nil is /dev/null.
	Stdin, Stdout, Stderr *os.File
	TTY                   TTYMode
	// Forward passes signals that this process gets on to the program, and stops and continues this
	// process with it, as if the program had been started by the shell. One start at a time.
	Forward bool
	// ExtraFiles become descriptors 3, 4, … of the program. No other descriptor reaches it.
	ExtraFiles []*os.File
	// Cgroup is the folder of a cgroup v2 in which the sandbox starts; nil is this process's.
	Cgroup *os.File
	// Remember makes it an error where owners that chown asks for cannot be remembered although the spec
	// wants it; else that is a warning.
	Remember bool
	Log      *slog.Logger // nil discards
}

func (o *Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}
