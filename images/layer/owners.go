package layer

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

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

const (
	ownersFile = "tar/owners.zst"
	ownersMax  = 4 << 30
)

// ReadOwners reads the index of the layer in layerDir. A layer without one gives an empty map.
func ReadOwners(layerDir string) (Owners, error) {
	out := Owners{}
	f, err := os.Open(filepath.Join(layerDir, ownersFile))
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	sc := bufio.NewScanner(io.LimitReader(z, ownersMax))
	sc.Buffer(make([]byte, 64<<10), 4<<20)
	for n := 1; sc.Scan(); n++ {
		if err := out.line(sc.Text()); err != nil {
			return nil, fmt.Errorf("%s line %d: %w", f.Name(), n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return out, nil
}

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

// The index is lines of text, in the order of the tar; a later line about a path adds to earlier ones.
//
//	o UID GID "path"        owner
//	d c|b MAJOR MINOR "path"
//	x BASE64 "name" "path"  extended attribute
//	i "path"                inherit
//	r "path"                forget what was said about path: another entry took its place
func (o Owners) line(s string) error {
	op, rest, _ := strings.Cut(s, " ")
	n, ok := map[string]int{"o": 2, "d": 3, "x": 1, "i": 0, "r": 0}[op]
	if !ok {
		return fmt.Errorf("unknown record %q", op)
	}
	args := make([]string, n)
	for i := range args {
		args[i], rest, _ = strings.Cut(rest, " ")
	}
	attr := ""
	if op == "x" {
		q, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return err
		}
		attr, _ = strconv.Unquote(q)
		rest = strings.TrimPrefix(rest[len(q):], " ")
	}
	path, err := strconv.Unquote(rest)
	if err != nil {
		return fmt.Errorf("bad path %s", rest)
	}
	e := o[path]
	switch op {
	case "r":
		delete(o, path)
		return nil
	case "i":
		e.Inherit = true
	case "o":
		var err1, err2 error
		e.UID, err1 = strconv.Atoi(args[0])
		e.GID, err2 = strconv.Atoi(args[1])
		err = errors.Join(err1, err2)
	case "d":
		var err1, err2 error
		if args[0] != "c" && args[0] != "b" {
			return fmt.Errorf("unknown device %q", args[0])
		}
		e.Device = args[0][0]
		e.Major, err1 = strconv.ParseInt(args[1], 10, 64)
		e.Minor, err2 = strconv.ParseInt(args[2], 10, 64)
		err = errors.Join(err1, err2)
	case "x":
		var b []byte
		b, err = base64.StdEncoding.DecodeString(args[0])
		if e.Xattrs == nil {
			e.Xattrs = map[string]string{}
		}
		e.Xattrs[attr] = string(b)
	}
	o[path] = e
	return err
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
