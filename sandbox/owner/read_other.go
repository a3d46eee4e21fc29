//go:build !linux

package owner

import "errors"

var errLinux = errors.New("writable layers are only on Linux")

// Read gives the owners that a writable layer remembers.
func Read(upper string) (map[string]Owner, error) { return nil, errLinux }

// Strip removes what is remembered.
func Strip(upper string) error { return errLinux }

// Written gives what was last changed while one of the programs ran.
func Written(upper string, programs []Program) (map[string]int, error) { return nil, errLinux }
