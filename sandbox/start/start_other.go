//go:build !linux

package start

import (
	"context"
	"errors"
	"os"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// ErrSystem is every error on a system that is not Linux.
var ErrSystem = errors.New("sandboxes run on Linux only")

// Process is a running sandbox.
type Process struct{}

// Start fails: namespaces are a matter of Linux.
func Start(context.Context, *spec.Spec, Options) (*Process, error) { return nil, ErrSystem }

// Pid is 0.
func (*Process) Pid() int { return 0 }

// Wait fails.
func (*Process) Wait() (Exit, error) { return Exit{}, ErrSystem }

// WaitProgram fails.
func (*Process) WaitProgram() (Exit, error) { return Exit{}, ErrSystem }

// Signal fails.
func (*Process) Signal(os.Signal) error { return ErrSystem }
