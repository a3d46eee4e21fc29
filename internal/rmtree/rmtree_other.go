//go:build !linux

// Package rmtree removes folder trees that strangers' code has left behind. Use [Remove].
package rmtree

import "os"

// Remove removes path and everything below it. How many bytes that gave back is not known here.
func Remove(path string) (int64, error) { return 0, os.RemoveAll(path) }
