//go:build !linux

// Package rmtree removes folder trees that strangers' code has left behind. Use [Remove].
package rmtree

import (
	"errors"
	"os"
	"time"
)

// Remove removes path and everything below it. How many bytes that gave back is not known here.
func Remove(path string) (int64, error) { return 0, os.RemoveAll(path) }

// ErrLate is what is in the tree of [RemoveUntil]'s error where time was up.
var ErrLate = errors.New("not removed in time")

// RemoveUntil is Remove; it takes the time that it needs here.
func RemoveUntil(path string, _ time.Time) (int64, error) { return Remove(path) }
