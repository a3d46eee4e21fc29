//go:build unix && !linux

package store

import "os"

// RemoveAll removes path and everything below it.
func RemoveAll(path string) error { return os.RemoveAll(path) }

func removeAll(path string) (int64, error) { return 0, os.RemoveAll(path) }
