//go:build !linux

package launch

import "runtime"

func cpus() int { return runtime.NumCPU() }

func memory() int64 { return 0 }
