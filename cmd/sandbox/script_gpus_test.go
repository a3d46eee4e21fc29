package main

import (
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/4cc2e759/sandbox/gpu/gputest"
)

// cmdGPUs: gpus MACHINE [remove=PATH]… [free=MIB]
//
// remove takes files of it away, free is how much of each GPU's memory nobody uses.
//
// The tool looks at the machine's folder, $GPU, in place of this one's /dev, /proc, /sys and driver. Without
// a C compiler there is no NVML on it, and facts come from procfs.
func cmdGPUs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: gpus MACHINE [remove=PATH]… [free=MIB]")
	}
	m := gputest.New(tb(ts), args[0])
	if m.LibDir != "" {
		m.BuildNVML(tb(ts))
	}
	for _, a := range args[1:] {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "remove":
			m.Remove(tb(ts), value)
		case "free":
			mib, err := strconv.ParseUint(value, 10, 32)
			ts.Check(err)
			for i := range m.Hardware.Devices {
				m.Hardware.Devices[i].Memory.Free = mib << 20
			}
			m.WriteConf(tb(ts))
		default:
			ts.Fatalf("gpus: unknown %s", a)
		}
	}
	ts.Setenv("GPU", m.Dir)
	ts.Setenv("SANDBOX_GPU_ROOT", m.Dir)
}
