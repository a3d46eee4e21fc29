package wheel

// LinkMode is how files get from the store into a prefix.
type LinkMode int

const (
	// LinkAuto makes hard links, and copies what the kernel does not let us link.
	LinkAuto LinkMode = iota
	// LinkCopy copies everything; file systems that can share the blocks do.
	LinkCopy
)

// LinkOptions are how [Link] works; the zero value is good.
type LinkOptions struct {
	Mode LinkMode

	// Conflict is asked about two wheels that have different files for one place: nil lets the
	// wheel that comes first have it, an error ends the work. Without it every conflict is an error.
	Conflict func(*ConflictError) error
}
