//go:build !linux || !cgo

package nvml

import "github.com/4cc2e759/sandbox/gpu"

// Read cannot work in a build without C.
func Read(string) (gpu.Inventory, error) {
	return gpu.Inventory{}, &Error{"build", 12, "this program was built without a C compiler"}
}
