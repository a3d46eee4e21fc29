package layer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/4cc2e759/sandbox/images/store"
)

// Owner is what an entry of a tar has and its file in the tree has not.
type Owner struct {
	UID, GID int
	// Device is 'c' or 'b' for a device node, whose file is an empty placeholder; else 0.
	Device       byte
	Major, Minor int64
	// Xattrs that were not set on the file, such as security.capability.
	Xattrs map[string]string
	// Inherit: a directory without an entry of its own; mode, owner and the rest are those of the
	// layers below.
	Inherit bool
}

// Owners are the [Owner] values of a layer by path, without a leading slash and with "" for the root.
// Paths that are not there belong to root and have nothing special.
type Owners map[string]Owner

// OwnersOf are the owners of a tree: [Owners] that were put together here, or the [OwnerIndex] of a layer.
type OwnersOf interface {
	// Owner is what is special about path; the zero value is nothing.
	Owner(path string) Owner
}

// Owner is o[path].
func (o Owners) Owner(path string) Owner { return o[path] }

const (
	ownersFile = "tar/owners.zst"
	ownersMax  = 4 << 30
)

// WriteOwners makes the index of a layer that is being built; tar/ is there. Entries that say nothing
// are left out, and no file is made if none is left.
func WriteOwners(layerDir string, o Owners) error {
	w := newOwnersWriter(layerDir)
	paths := make([]string, 0, len(o))
	for p := range o {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		w.put(p, o[p])
	}
	return w.close()
}

// ownersWriter writes the index as entries come, so that a large layer needs no map in memory.
type ownersWriter struct {
	path string
	z    *zstdFile
	buf  []byte
	err  error
}

func newOwnersWriter(layerDir string) *ownersWriter {
	return &ownersWriter{path: filepath.Join(layerDir, ownersFile)}
}

func (w *ownersWriter) put(path string, o Owner) {
	if o.UID != 0 || o.GID != 0 {
		w.buf = append(w.buf, "o "...)
		w.buf = strconv.AppendInt(w.buf, int64(o.UID), 10)
		w.buf = append(w.buf, ' ')
		w.buf = strconv.AppendInt(w.buf, int64(o.GID), 10)
		w.end(path)
	}
	if o.Device != 0 {
		w.buf = fmt.Appendf(w.buf, "d %c %d %d", o.Device, o.Major, o.Minor)
		w.end(path)
	}
	names := make([]string, 0, len(o.Xattrs))
	for n := range o.Xattrs {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		w.buf = append(w.buf, "x "...)
		w.buf = base64.StdEncoding.AppendEncode(w.buf, []byte(o.Xattrs[n]))
		w.buf = append(w.buf, ' ')
		w.buf = strconv.AppendQuoteToASCII(w.buf, n)
		w.end(path)
	}
	if o.Inherit {
		w.buf = append(w.buf, 'i')
		w.end(path)
	}
}

func (w *ownersWriter) forget(path string) {
	w.buf = append(w.buf, 'r')
	w.end(path)
}

func (w *ownersWriter) inheritsNot(path string) {
	w.buf = append(w.buf, 'n')
	w.end(path)
}

func (w *ownersWriter) end(path string) {
	w.buf = append(w.buf, ' ')
	w.buf = strconv.AppendQuoteToASCII(w.buf, path)
	w.buf = append(w.buf, '\n')
	if len(w.buf) >= 32<<10 {
		w.flush()
	}
}

func (w *ownersWriter) flush() {
	if w.err == nil && w.z == nil && len(w.buf) > 0 {
		w.z, w.err = createZstd(w.path)
	}
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.z.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

func (w *ownersWriter) close() error {
	w.flush()
	if w.z != nil {
		w.err = errors.Join(w.err, w.z.Close())
	}
	return store.Space(w.err, "write", w.path)
}
