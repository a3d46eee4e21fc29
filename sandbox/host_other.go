//go:build !linux

package sandbox

import "runtime"

func cpus() int { return runtime.NumCPU() }

func memory() int64 { return 0 }
