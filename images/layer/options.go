package layer

import (
	"fmt"
	"log/slog"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// Limits bound what a layer may ask for. A zero field means its default.
type Limits struct {
	Entries int   // entries of the tar; 8 million
	Bytes   int64 // bytes of the tar, holes of sparse files included; 512 GiB
	Path    int   // bytes of a name; 4095
	Ratio   int64 // unpacked to packed beyond the first GiB, where the caller tells Packed; 250
	Memory  int64 // bytes to remember of a layer at once, see the package; 128 MiB
}

// The defaults. A ratio of 250 is far above what files of any kind compress to, and far below what a gzip
// of nothing can reach (1032).
const (
	DefaultEntries = 8 << 20
	DefaultBytes   = 512 << 30
	DefaultPath    = 4095
	DefaultRatio   = 250
	DefaultMemory  = 128 << 20
)

// remembered is what a name to remember costs beyond its own bytes, about.
const remembered = 96

// ratioFrom is where the ratio begins to count: a small layer may be all zeros.
const ratioFrom = 1 << 30

// WithDefaults fills in what is not set.
func (l Limits) WithDefaults() Limits {
	if l.Entries == 0 {
		l.Entries = DefaultEntries
	}
	if l.Bytes == 0 {
		l.Bytes = DefaultBytes
	}
	if l.Path == 0 {
		l.Path = DefaultPath
	}
	if l.Ratio == 0 {
		l.Ratio = DefaultRatio
	}
	if l.Memory == 0 {
		l.Memory = DefaultMemory
	}
	return l
}

// Expansion is a *[LimitError] if so many unpacked bytes out of so many packed ones are too many. what
// is "layer" or "archive".
func (l Limits) Expansion(what string, plain, packed int64) error {
	switch {
	case plain > l.Bytes:
		return &LimitError{What: what, Key: "size", Limit: l.Bytes}
	case plain > ratioFrom && plain/max(packed, 1) > l.Ratio:
		return &LimitError{What: what, Key: "ratio", Limit: l.Ratio}
	}
	return nil
}

// LimitError is a layer, or an archive of layers, that asks for more than [Limits] allow.
type LimitError struct {
	What  string // "layer" or "archive"
	Key   string // of [layers] in the user's configuration: entries, size, ratio, memory; "path" cannot be set
	Limit int64
}

func (e *LimitError) Error() string {
	switch e.Key {
	case "entries":
		return fmt.Sprintf("the %s has more entries than the limit: %d", e.What, e.Limit)
	case "size":
		return fmt.Sprintf("the %s unpacks to more than the limit: %s", e.What, sizeText(e.Limit))
	case "ratio":
		return fmt.Sprintf("the %s unpacks to more bytes for each packed one than the limit: %d", e.What, e.Limit)
	case "memory":
		return fmt.Sprintf("the %s takes more memory to unpack than the limit: %s", e.What, sizeText(e.Limit))
	}
	return fmt.Sprintf("the %s has a name of more bytes than the limit: %d", e.What, e.Limit)
}

// Hint says which key of the user's configuration changes the limit.
func (e *LimitError) Hint() string {
	double := fmt.Sprint(2 * e.Limit)
	switch e.Key {
	case "size", "memory":
		double = `"` + sizeText(2*e.Limit) + `"`
	case "entries", "ratio":
	default:
		return ""
	}
	return "if you trust who made it, raise the limit in the user's config.toml: layers." + e.Key + " = " + double
}

// sizeText writes a size as the configuration takes it.
func sizeText(n int64) string {
	for _, u := range []struct {
		bytes int64
		name  string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.bytes && n%u.bytes == 0 {
			return fmt.Sprintf("%d %s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

var _ hint.Hinter = (*LimitError)(nil)

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
	flushAt  int64 // bytes of folders to remember before some are finished early; 0 = as many as is usual
}

// Info is what [Apply] found.
type Info struct {
	Entries int
	Bytes   int64 // of the tar, all of it
	// Warnings are the first of each kind of thing that is not as the tar has it; Odd counts them all, in
	// words for the user. Layers of ordinary images have none.
	Warnings []string
	Odd      string
	// OpaqueRoot: the layer hides everything below it. Overlayfs does not look at a marker on a root
	// directory, so whoever mounts leaves the lower layers out. See also [OpaqueRoot].
	OpaqueRoot bool
	// Inherited: some directories have no entry of their own; see [InheritLayer].
	Inherited bool
}
