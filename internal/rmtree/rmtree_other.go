//go:build !linux

// Package rmtree removes folder trees that strangers' code has left behind. Use [Remove].
package rmtree

import (
	"errors"
	"os"
)

// Remove removes path and everything below it. How many bytes that gave back is not known here.
func Remove(path string) (int64, error) { return 0, os.RemoveAll(path) }

// ErrStopped is what is in the tree of [RemoveWhile]'s error when it was told to stop.
var ErrStopped = errors.New("not all is removed")

// RemoveWhile is Remove; it does not ask here.
func RemoveWhile(path string, _ func() bool) (int64, error) { return Remove(path) }

// Together is for several removals at once. The zero value is ready; it is safe for concurrent use.
type Together struct{}

// RemoveWhile is [RemoveWhile].
func (*Together) RemoveWhile(path string, goOn func() bool) (int64, error) {
	return RemoveWhile(path, goOn)
}
