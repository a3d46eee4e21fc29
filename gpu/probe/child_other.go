//go:build !linux

package probe

import (
	"context"
	"time"
)

func runChild(_ context.Context, path string, _, _ []string, _ time.Duration) ([]byte, error) {
	return nil, &HelperError{path, "GPUs are probed on Linux only"}
}
