package layer

import (
	"fmt"
	"log/slog"
)

// Limits bound what a layer may ask for. A zero field means its default.
type Limits struct {
	Entries int   // entries of the tar; 8 million
	Bytes   int64 // bytes of the tar, holes of sparse files included; 512 GiB
	Path    int   // bytes of a name; 4095
	Ratio   int64 // unpacked to packed beyond the first GiB, where the caller tells Packed; 2000
}

func (l Limits) withDefaults() Limits {
	if l.Entries == 0 {
		l.Entries = 8 << 20
	}
	if l.Bytes == 0 {
		l.Bytes = 512 << 30
	}
	if l.Path == 0 {
		l.Path = 4095
	}
	if l.Ratio == 0 {
		l.Ratio = 2000
	}
	return l
}

// LimitError is a layer that asks for more than [Limits] allow.
type LimitError struct {
	What  string
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the layer has more %s than allowed: %d", e.What, e.Limit)
}

// ApplyOptions of [Apply]. The zero value is right for a layer of an image.
type ApplyOptions struct {
	// NoSide leaves tar/ alone: the tree can then not be turned back into its tar.
	NoSide bool
	Limits Limits
	// Packed, if set, tells how many compressed bytes were read so far, for Limits.Ratio.
	Packed func() int64
	Log    *slog.Logger
	// Report, if set, is told now and then how many bytes of the tar were read.
	Report func(bytes int64)

	// skeleton makes files of the right size without their contents, and the index of owners alone.
	skeleton bool
}

// Info is what [Apply] found.
type Info struct {
	Entries  int
	Bytes    int64 // of the tar, all of it
	Warnings []string
	// OpaqueRoot: the layer hides everything below it. Overlayfs does not look at a marker on a root
	// directory, so whoever mounts leaves the lower layers out. See also [OpaqueRoot].
	OpaqueRoot bool
	// Inherited: some directories have no entry of their own; see [InheritLayer].
	Inherited bool
}
