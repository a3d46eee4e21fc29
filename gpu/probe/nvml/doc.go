// Package nvml asks the driver's own library, libnvidia-ml, what GPUs a machine has. [Read] is all of it.
//
// Only the program sandbox-gpu-probe links this package: it needs C and the dynamic linker, and a function
// that an old driver lacks ends the process (exit 127, "symbol lookup error") instead of giving an error.
// So every function is looked up before it is called, and whoever wants the answer runs the program as a
// child with a time limit: package gpu/probe does.
package nvml

import "fmt"

// Error is what NVML answered instead of "success".
type Error struct {
	Call string // "nvmlInit"
	Code int    // nvmlReturn_t: 18
	Text string // "driver/library version mismatch"
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s (NVML error %d)", e.Call, e.Text, e.Code) }

// text puts NVML's codes in words: its own function for that may be missing.
func text(code int) string {
	words := map[int]string{
		1: "not initialized", 2: "invalid argument", 3: "not supported", 4: "no permission", 6: "not found", 7: "insufficient size",
		8: "external power cables are not attached", 9: "driver not loaded", 10: "timeout", 11: "interrupt problem", 12: "library not found",
		13: "function not found", 14: "corrupted infoROM", 15: "GPU is lost", 16: "GPU requires a reset", 17: "the operating system blocks it",
		18: "driver/library version mismatch", 19: "in use", 20: "out of memory", 28: "GPU not found", 999: "unknown error",
	}
	if w, ok := words[code]; ok {
		return w
	}
	return "unknown code"
}
