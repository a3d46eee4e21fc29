package sandbox

import (
	"errors"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver"
	"github.com/4cc2e759/sandbox/gpu/inject"
	"github.com/4cc2e759/sandbox/gpu/lease"
	"github.com/4cc2e759/sandbox/gpu/probe"
)

// IsGPUError tells whether err is about what this machine's GPUs or their driver cannot do.
func IsGPUError(err error) bool {
	return is[*NoGPUError](err) || is[*NoDriverError](err) || is[*NeedProblems](err) ||
		is[*gpu.NoMatchError](err) || is[*gpu.HeldError](err) || is[*gpu.UnknownError](err) || is[*gpu.AmbiguousError](err) ||
		is[*lease.BusyError](err) ||
		is[*probe.MismatchError](err) || is[*probe.PermissionError](err) || is[*probe.NoNodeError](err) || is[*probe.NoUVMError](err) || is[*probe.NVMLError](err) ||
		is[*driver.MismatchError](err) || is[*driver.NotFoundError](err) || is[*driver.NoModuleError](err) ||
		is[*inject.NodeError](err) || is[*inject.LibcError](err) || is[*inject.CompatError](err)
}

// IsGPUSyntax tells whether err is a mistake in a selection on the command line.
func IsGPUSyntax(err error) bool { return is[*gpu.SyntaxError](err) }

func is[T error](err error) bool {
	var e T
	return errors.As(err, &e)
}
