//go:build !linux

package out

import "os"

func umask() os.FileMode { return 0o022 }
