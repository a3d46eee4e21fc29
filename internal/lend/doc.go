// Package lend reads what belongs to the caller but has a mode that keeps its owner out, as /etc/shadow and
// programs of mode 4111 have in some images. An ordinary user has to change the mode for that moment: use
// [Tree.Open] and its like, which do so alone in the tree and for one call, and write the true mode down
// first. Nobody takes the lent mode for the true one: whoever looks at modes does so with [Tree.Look], which
// waits until nothing is lent, and puts back what a killed process left.
package lend

// Error is what stands in the way of lending: the lock, the record. It is no error of what was to be read.
type Error struct {
	Op   string
	Path string // of the record
	Err  error
}

func (e *Error) Error() string { return e.Op + ": " + e.Path + ": " + e.Err.Error() }

// Unwrap gives the error of the system call.
func (e *Error) Unwrap() error { return e.Err }
