package layer

import (
	"bufio"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/lend"
)

// Reassemble writes the tar that was applied to layerDir, byte for byte. A file that was changed since
// is a *DamageError. Layers that were built, not applied, have no such tar: fs.ErrNotExist. The end of ctx
// ends it, with ctx's error.
func Reassemble(ctx context.Context, w io.Writer, layerDir string) error {
	f, err := os.Open(filepath.Join(layerDir, sideFile))
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return err
	}
	defer z.Close()
	side, err := newSideReader(z)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	root, err := unix.Open(filepath.Join(layerDir, "fs"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: layerDir + "/fs", Err: err}
	}
	defer unix.Close(root)
	t, err := lend.New(root, filepath.Join(layerDir, "fs"))
	if err != nil {
		return err
	}
	defer t.Close()
	where, err := loadPlaces(filepath.Join(layerDir, placeFile))
	if err != nil {
		return err
	}
	r := &reassembler{ctx: ctx, lend: t, where: where, w: bufio.NewWriterSize(w, 256<<10), buf: make([]byte, 256<<10)}
	if err := r.run(side); err != nil {
		return fmt.Errorf("layer %s: %w", layerDir, unchecked(err))
	}
	return r.w.Flush()
}

type reassembler struct {
	ctx   context.Context
	lend  *lend.Tree
	where *places
	w     *bufio.Writer
	buf   []byte
	files int
}

func (r *reassembler) run(side *sideReader) error {
	for {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		rec, err := side.next()
		if err != nil {
			return fmt.Errorf("%s: %w", sideFile, err)
		}
		switch rec.kind {
		case 'E':
			return nil
		case 'R':
			if _, err := io.CopyN(r.w, ctxReader{r.ctx, side.r}, rec.n); err != nil {
				return noEOF(err)
			}
		case 'F':
			if err := r.file(rec); err != nil {
				return err
			}
		}
	}
}

func (r *reassembler) file(rec sideRecord) error {
	r.files++
	path, kept := r.where.find(r.files, rec.name)
	fd, err := r.open(path, kept)
	if _, bare := err.(unix.Errno); bare {
		return &DamageError{rec.name, err.Error()}
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), rec.name)
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() != rec.n {
		return &DamageError{rec.name, "it is not a file of " + strconv.FormatInt(rec.n, 10) + " bytes"}
	}
	var crc uint32
	for left := rec.n; left > 0; {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(r.buf[:min(left, int64(len(r.buf)))])
		if err != nil {
			return &DamageError{rec.name, noEOF(err).Error()}
		}
		left -= int64(n)
		crc = crc32.Update(crc, castagnoli, r.buf[:n])
		if _, err := r.w.Write(r.buf[:n]); err != nil {
			return err
		}
	}
	if crc != rec.crc {
		return &DamageError{rec.name, "its contents have changed"}
	}
	return nil
}

func (r *reassembler) open(path string, kept int) (int, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	if kept > 0 {
		// It may have another name in the tree: it is lent as what is there.
		path = filepath.Join(keptDir, strconv.Itoa(kept))
	} else {
		path = r.lend.Below(path)
	}
	return r.lend.Path(r.ctx, path, func(up int, path string) (int, error) { return openBeneath(up, path, flags) })
}
