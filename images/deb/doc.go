// Package deb reads Debian and Ubuntu archives: it finds out where they are, verifies what they
// say, chooses packages and unpacks .deb files. It executes nothing.
//
// Use [HostSources] first, then [Loader.Suite] for the archives of one release (its updates and
// security fixes included), [Loader.Indexes] for their package indexes, and [Closure] for the
// packages of a base. What was chosen is kept as a [Pin], which names no machine; [Loader.Fetch] brings pinned
// files back from any mirror that has them, and [Unpack] and [ReadContents] look inside.
//
// Archives and packages are hostile until proven otherwise: nothing of a Release is believed before
// its signature was checked, no index and no .deb before its hash was, and unpacking never leaves
// its folder.
package deb

import (
	"context"
	"errors"
	"os"
)

// ErrNotFound is what a [Getter] returns, wrapped, for a file that no server has.
var ErrNotFound = errors.New("not found")

// Getter brings files. [NewGetter] makes the one that downloads into a store.
type Getter interface {
	// Get returns the small file at url, at most max bytes.
	Get(ctx context.Context, url string, max int64) ([]byte, error)
	// Blob returns the file with this hash (64 hex digits) and size, from the first of urls that
	// has it, or without any request if it is at hand. name is what progress and errors call it.
	Blob(ctx context.Context, sha256 string, size int64, urls []string, name string) (*os.File, error)
}
