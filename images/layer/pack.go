package layer

import (
	"context"
	"fmt"
	"io"

	"github.com/4cc2e759/sandbox/images/store"
)

// PackOptions of [Pack], [List] and [DiffID].
type PackOptions struct {
	// Owners of what does not belong to root, devices and attributes; nil is none.
	Owners OwnersOf
	// Epoch is the modification time of everything, in seconds since 1970.
	Epoch int64
	// NoHardlinks writes every name with its contents. It is for trees whose files may be hard links
	// into the store: whether two names share a file then depends on whether the store could link or
	// had to copy, and the layer must not. Without it names that share a file within the tree are
	// links to the first of them, and links to the outside do not matter.
	NoHardlinks bool
	// Skip leaves out what is called path, with all below it; whiteouts and opaque marks stay.
	Skip func(path string) bool
	// Hide are paths that get whiteouts beside those of the tree, which has nothing there or leaves it out by
	// Skip. Folders on the way that are not in the layer get no entry.
	Hide []string
	// Contents are written in place of those of files in the tree.
	Contents map[string][]byte
}

func (o PackOptions) owner(path string) (own Owner) {
	if o.Owners != nil {
		own = o.Owners.Owner(path)
	}
	return own
}

// Digests of a tree.
type Digests struct {
	DiffID store.Digest // of what Pack writes
	Files  store.Digest // of what List writes
	Bytes  int64        // that Pack writes
}

// DamageError is a file of a layer that is not what it was.
type DamageError struct{ Path, Detail string }

func (e *DamageError) Error() string { return fmt.Sprintf("damaged file %q: %s", e.Path, e.Detail) }

// ctxReader ends with its context.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
