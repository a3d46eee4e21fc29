//go:build !linux

package check

import (
	"context"
	"runtime"
)

// Init does nothing where there are no probes.
func Init() {}

func probes() []probe {
	return []probe{{"kernel", "kernel version", "", func(context.Context, *host) result {
		return result{Fail, "sandboxes run on Linux only, this is " + runtime.GOOS, "run it in a Linux virtual machine"}
	}}}
}
