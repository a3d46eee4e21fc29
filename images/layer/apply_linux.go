package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/4cc2e759/sandbox/images/store"
)

// Apply unpacks the layer tar r into dir, which has an empty fs/ and, unless o.NoSide, an empty tar/.
// It reads r to its real end, so that whoever hashes r has seen all of it. It needs no privilege and no
// user namespace. After an error what is in dir is of no use.
//
// Reading and hashing happen in the calling goroutine, the file system's work in another one, in the
// order of the entries.
// The end of ctx ends it within moments, with ctx's error.
func Apply(ctx context.Context, r io.Reader, dir string, o ApplyOptions) (Info, error) {
	o.Limits = o.Limits.WithDefaults()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &applier{ctx: ctx, o: o}
	a.rec = &recorder{r: bufio.NewReaderSize(ctxReader{ctx, r}, 256<<10), max: o.Limits.Bytes, limit: o.Limits.Bytes, on: true, passed: a.progress}
	var z *zstdFile
	if !o.NoSide {
		var err error
		path := filepath.Join(dir, sideFile)
		if z, err = createZstd(path); err != nil {
			return Info{}, store.Space(err, "create", path)
		}
		defer z.Close()
		if a.rec.side, err = newSideWriter(z); err != nil {
			return Info{}, store.Space(err, "write", path)
		}
	}
	x, err := newExtractor(ctx, dir, o)
	if err != nil {
		return Info{}, err
	}
	a.pipe = startPipe(x)
	err = a.read()
	if xerr := a.pipe.finish(); xerr != nil {
		err = xerr // what the file system said comes before the reader's being told to stop
	}
	if err == nil {
		err = x.finish()
	}
	if err == nil && x.side {
		err = x.moved.save(filepath.Join(dir, placeFile))
	}
	err = errors.Join(err, x.close())
	if z != nil && err == nil {
		err = store.Space(errors.Join(a.rec.side.end(), z.Close()), "write", filepath.Join(dir, sideFile))
	}
	info := x.info
	info.Entries, info.Bytes, info.Odd = a.entries, a.rec.bytes, x.odd()
	for _, w := range info.Warnings {
		o.Log.Warn("layer", "warning", w)
	}
	return info, err
}

// applier reads the tar and hands on what is to be done.
type applier struct {
	ctx     context.Context
	o       ApplyOptions
	rec     *recorder
	pipe    *pipe
	e       entry
	entries int
	told    int64
}

func (a *applier) read() error {
	tr := tar.NewReader(a.rec)
	for {
		a.rec.on = true
		h, err := tr.Next()
		if err == io.EOF {
			return a.drain()
		}
		if err != nil {
			return reading(noEOF(err))
		}
		a.rec.on = false
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if a.entries++; a.entries > a.o.Limits.Entries {
			return &LimitError{What: "layer", Key: "entries", Limit: int64(a.o.Limits.Entries)}
		}
		if err := a.entry(tr, h); err != nil {
			return fmt.Errorf("entry %q: %w", shown(h.Name), err)
		}
	}
}

// drain reads what follows the end of the archive: padding, and whatever else has been hashed.
func (a *applier) drain() error {
	a.rec.on = true
	buf := make([]byte, 64<<10)
	for {
		_, err := a.rec.Read(buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return reading(err)
		}
	}
}

// reading says what was done; a limit says it itself.
func reading(err error) error {
	var le *LimitError
	if errors.As(err, &le) {
		return le
	}
	return fmt.Errorf("read the layer: %w", err)
}

// progress is told of all that passes, whatever it is: what stands between entries has no end of its own.
func (a *applier) progress() error {
	if a.rec.bytes-a.told < 1<<20 {
		return nil
	}
	a.told = a.rec.bytes
	if a.o.Report != nil {
		a.o.Report(a.told)
	}
	if a.o.Packed != nil {
		if err := a.o.Limits.Expansion("layer", a.told, a.o.Packed()); err != nil {
			return err
		}
	}
	return a.pipe.failed()
}

// entry turns h into an entry of ours. Contents that will not be found in the tree are kept with the
// headers.
func (a *applier) entry(tr *tar.Reader, h *tar.Header) error {
	name, err := cleanName(h.Name, a.o.Limits.Path)
	if err != nil {
		return err
	}
	e := &a.e
	*e = entry{
		name: name, kind: h.Typeflag, mode: uint32(h.Mode) & 0o7777, uid: h.Uid, gid: h.Gid,
		sec: h.ModTime.Unix(), nsec: int64(h.ModTime.Nanosecond()), link: h.Linkname,
		major: h.Devmajor, minor: h.Devminor, size: h.Size,
	}
	for k, v := range h.PAXRecords {
		if n, ok := strings.CutPrefix(k, "SCHILY.xattr."); ok {
			if e.xattrs == nil {
				e.xattrs = map[string]string{}
			}
			e.xattrs[n] = v
		}
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		e.kind = tar.TypeReg
		if _, base := split(name); !strings.HasPrefix(base, whPrefix) {
			return a.file(tr, e, isSparse(h))
		}
	case tar.TypeLink:
		if e.link, err = cleanName(h.Linkname, a.o.Limits.Path); err != nil {
			return fmt.Errorf("its target: %w", err)
		}
	}
	a.rec.on = true
	if _, err := io.Copy(io.Discard, tr); err != nil {
		return noEOF(err)
	}
	a.rec.on = false
	e.size = 0
	return a.pipe.put(e, nil, false, true)
}

// isSparse: what the reader gives is not what is in the tar.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func (a *applier) file(tr *tar.Reader, e *entry, sparse bool) error {
	if e.size > a.rec.max-a.rec.bytes {
		return &LimitError{What: "layer", Key: "size", Limit: a.o.Limits.Bytes}
	}
	kept := a.rec.side != nil && e.size > 0 && !sparse
	if kept {
		e.record = a.rec.side.files + 1
	}
	if sparse {
		a.rec.on = true
		a.rec.max -= e.size // its holes take time as if they were bytes
	}
	var crc uint32
	for left, more := e.size, false; ; more = true {
		if err := a.ctx.Err(); err != nil { // holes are made without reading anything
			return err
		}
		buf, err := a.pipe.space(left)
		if err != nil {
			return err
		}
		n, err := io.ReadFull(tr, buf)
		if err != nil {
			return noEOF(err)
		}
		left -= int64(n)
		if kept {
			crc = crc32.Update(crc, castagnoli, buf)
		}
		if err := a.pipe.put(e, buf, more, left == 0); err != nil {
			return err
		}
		if left == 0 {
			break
		}
	}
	if kept {
		return a.rec.side.file(e.name, e.size, crc)
	}
	return nil
}
