//go:build !linux

package inject

import "io/fs"

func numbersOf(fs.FileInfo) (major, minor int, ok bool) { return 0, 0, false }
