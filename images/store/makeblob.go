package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"strconv"
	"strings"
)

// MakeBlob stores what fill writes, of any size, under its digest. It is for blobs whose digest is only
// known at their end; nothing of one that fails stays.
func (s *Store) MakeBlob(ctx context.Context, fill func(w io.Writer) error) (Digest, int64, error) {
	t, err := s.tempFile("blob")
	if err != nil {
		return "", 0, err
	}
	defer t.close()
	b := &blobFile{s: s, t: t}
	h := sha256.New()
	buf := bufio.NewWriterSize(b, 256<<10)
	if err := fill(io.MultiWriter(buf, h)); err != nil {
		return "", 0, err
	}
	if err := buf.Flush(); err != nil {
		return "", 0, err
	}
	d := FromSum(h.Sum(nil))
	if err := s.leaseNames(ctx, KindBlob, d.Hex()); err != nil {
		return "", 0, err
	}
	if s.HasBlob(ctx, d, b.n) {
		return d, b.n, nil
	}
	final := s.Path(Blobs, d.Hex())
	if err := s.step("chmod", t.path, func() error { return t.lock.Chmod(0o444) }); err != nil {
		return "", 0, err
	}
	if err := s.syncFile(t.lock); err != nil {
		return "", 0, err
	}
	if err := s.rename(t.path, final); err != nil {
		return "", 0, err
	}
	return d, b.n, s.syncDir(s.Path(Blobs))
}

// blobFile is the temporary file of a blob whose writes pass through step.
type blobFile struct {
	s *Store
	t *temp
	n int64
}

// Write appends p.
func (b *blobFile) Write(p []byte) (n int, err error) {
	err = b.s.step("write", b.t.path, func() (err error) { n, err = b.t.lock.Write(p); return err })
	b.n += int64(n)
	return n, err
}

// packedLink names the compressed blob that a layer left as.
const packedLink = "packed"

// Packed is the blob that a built layer left as, and its size in bytes, or "": it may have been collected since.
func (l Layer) Packed() (Digest, int64) {
	t, _ := os.Readlink(l.Dir + "/" + packedLink)
	text, n, _ := strings.Cut(t, " ")
	d, err := ParseDigest(text)
	size, serr := strconv.ParseInt(n, 10, 64)
	if err != nil || serr != nil || size < 0 {
		return "", 0
	}
	return d, size
}

// SetPacked notes the blob that a layer of the own store left as. A blob that was cut since is known by its size.
func (s *Store) SetPacked(name string, d Digest, size int64) error {
	return s.setLink(name, packedLink, d, " "+strconv.FormatInt(size, 10))
}
