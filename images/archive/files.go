package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/images/layer"
)

// Neither wait for the other end of a FIFO nor follow a link.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOFOLLOW

// folder is a layout on disk; names are resolved below it.
type folder struct{ root *os.Root }

func openFolder(path string) (files, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return folder{root}, nil
}

func (d folder) open(name string) (*file, error) {
	// Folders may be links below the root, but no blob may: the link's own type is looked at.
	if fi, err := d.root.Lstat(name); err != nil {
		return nil, err
	} else if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	f, err := d.root.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{io.NewSectionReader(f, 0, fi.Size()), f.Close}, nil
}

func (d folder) packed(n int64) int64 { return n }

func (d folder) Close() error { return d.root.Close() }

// tarFile is an index over a tar file, which stays where it is; a compressed one is unpacked to a
// temporary file first, because its parts are read in another order than they come.
type tarFile struct {
	f       *os.File
	entries map[string]tarEntry
	cleanup func()

	size, unpacked int64 // bytes of the file itself and of what it unpacked to; 0 if it is not compressed
}

type tarEntry struct {
	offset, size int64
	link         string // of a symbolic or hard link: the name that it leads to
}

const (
	maxEntries = 100_000
	maxName    = 4096 // bytes of a name in an archive
	entryCost  = 160  // bytes that an entry takes beyond its names, about
)

func openTar(ctx context.Context, name string, o Options) (files, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	t := &tarFile{f: f, entries: map[string]tarEntry{}, cleanup: func() {}}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil {
		err = t.inflate(ctx, o)
	}
	if err == nil {
		err = t.index(ctx, o.Limits.WithDefaults().Memory)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// index reads the headers. More than memory, in bytes, for what they say is a *[layer.LimitError].
func (t *tarFile) index(ctx context.Context, memory int64) error {
	tr := tar.NewReader(struct {
		ctxReader // headers without an entry have no end of their own
		io.Seeker
	}{ctxReader{ctx, t.f}, t.f})
	for left := memory; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("not a tar file, or a damaged one: %w", err)
		}
		if len(t.entries) >= maxEntries {
			return fmt.Errorf("an archive of more than %d files", maxEntries)
		}
		if len(h.Name) > maxName || len(h.Linkname) > maxName {
			return fmt.Errorf("an archive with a name of more than %d bytes", maxName)
		}
		name := cleanName(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			// The reader does not read ahead, so the file is where the contents begin.
			off, err := t.f.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			t.entries[name] = tarEntry{offset: off, size: h.Size}
		case tar.TypeSymlink:
			t.entries[name] = tarEntry{link: cleanName(path.Join(path.Dir(name), h.Linkname))}
		case tar.TypeLink:
			t.entries[name] = tarEntry{link: cleanName(h.Linkname)}
		}
		if left -= int64(len(name)+len(t.entries[name].link)) + entryCost; left < 0 {
			return &layer.LimitError{What: "archive", Key: "memory", Limit: memory}
		}
	}
}

// cleanName makes names comparable; they are keys and never become paths.
func cleanName(s string) string { return strings.TrimPrefix(path.Clean("/"+s), "/") }

// open follows links between entries: old versions of `docker save` write a repeated layer as one.
func (t *tarFile) open(name string) (*file, error) {
	e, ok := t.entries[cleanName(name)]
	for hops := 0; ok && e.link != ""; hops++ {
		if hops == 8 {
			return nil, fmt.Errorf("%s: too many links", name)
		}
		e, ok = t.entries[e.link]
	}
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{io.NewSectionReader(t.f, e.offset, e.size), func() error { return nil }}, nil
}

// Close closes the archive and removes what was unpacked.
func (t *tarFile) Close() error {
	err := t.f.Close()
	t.cleanup()
	return err
}
