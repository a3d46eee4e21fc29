package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/images/unpack"
)

// inflate puts a temporary file in the place of one that is compressed. The layers in it may be
// compressed once more, so what this step alone makes of few bytes counts for them too: see packed.
func (t *tarFile) inflate(ctx context.Context, o Options) error {
	magic := make([]byte, 4)
	if n, _ := t.f.ReadAt(magic, 0); n < 4 || (magic[0] != 0x1f || magic[1] != 0x8b) && string(magic) != "\x28\xb5\x2f\xfd" {
		return nil
	}
	dir, cleanup, err := o.Store.TempDir("archive")
	if err != nil {
		return err
	}
	t.cleanup = cleanup
	packed := &counted{r: ctxReader{ctx, t.f}}
	plain, done, err := unpack.Plain(ctx, packed)
	if err != nil {
		return err
	}
	defer done()
	path := filepath.Join(dir, "tar")
	out, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return store.Space(err, "create", path)
	}
	defer t.f.Close()
	t.f = out
	limits := o.Limits.WithDefaults()
	t.unpacked, err = copySparse(out, plain, func(n int64) error {
		return errors.Join(ctx.Err(), limits.Expansion("archive", n, packed.n))
	})
	t.size = packed.n
	if err == nil {
		_, err = out.Seek(0, io.SeekStart)
	}
	return store.Space(err, "write", path)
}

// packed counts the file's own compression: without it a layer that is plain in the file would be of one
// byte for each byte, whatever the file was made of.
func (t *tarFile) packed(n int64) int64 {
	if t.unpacked <= t.size {
		return n
	}
	return int64(float64(n) * (float64(t.size) / float64(t.unpacked)))
}

// copySparse writes r to an empty file; runs of zeros become holes, which cost nothing. It asks again before
// each part whether to go on.
func copySparse(w *os.File, r io.Reader, again func(n int64) error) (n int64, err error) {
	buf, zero := make([]byte, 256<<10), make([]byte, 256<<10)
	for err == nil {
		var m int
		m, err = io.ReadFull(r, buf)
		if !bytes.Equal(buf[:m], zero[:m]) {
			if _, err := w.WriteAt(buf[:m], n); err != nil {
				return n, err
			}
		}
		n += int64(m)
		if stop := again(n); stop != nil {
			return n, stop
		}
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF { // a cut stream has an error of its own
		err = nil
	}
	if err == nil {
		err = w.Truncate(n)
	}
	return n, err
}

type counted struct {
	r io.Reader
	n int64
}

// Read counts.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
