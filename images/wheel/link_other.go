//go:build !linux

package wheel

import "errors"

// Link works on Linux alone.
func Link(wheels []Wheel, prefix, python string, o LinkOptions) error {
	return errors.New("prefixes are only put together on linux")
}
