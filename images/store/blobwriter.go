package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"
)

// BlobWriter takes in one blob. What was written stays after a crash or a Close and is taken up by the
// next NewBlob of the same digest. It is for one goroutine, ReadAt apart.
type BlobWriter struct {
	s      *Store
	d      Digest
	size   int64
	f      *os.File // partial/<hex>, locked
	path   string
	h      hash.Hash
	n      int64
	failed error
	done   bool
}

// NewBlob begins or resumes to write d, of size bytes (-1 if not known). Offset tells how much is there
// already. It waits while another process writes d, and returns ErrExists if d is in the store by then.
func (s *Store) NewBlob(ctx context.Context, d Digest, size int64) (*BlobWriter, error) {
	if d.Hex() == "" {
		return nil, fmt.Errorf("not a sha256 digest: %q", string(d))
	}
	if err := s.leaseNames(ctx, KindBlob, d.Hex()); err != nil {
		return nil, err
	}
	if s.HasBlob(ctx, d, size) {
		return nil, ErrExists
	}
	w := &BlobWriter{s: s, d: d, size: size, path: s.Path(Partial, d.Hex()), h: sha256.New()}
	err := s.step("create", w.path, func() (err error) {
		w.f, err = lock(ctx, w.path, os.O_RDWR|os.O_CREATE, syscall.LOCK_EX, s.waited("blob "+string(d)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d, err)
	}
	if s.HasBlob(ctx, d, size) {
		w.Discard()
		return nil, ErrExists
	}
	if err := w.resume(ctx); err != nil {
		w.Close()
		return nil, fmt.Errorf("blob %s: %w", d, err)
	}
	return w, nil
}

// resume hashes what an earlier process left. More than the blob can have is no beginning of it.
func (w *BlobWriter) resume(ctx context.Context) error {
	fi, err := w.f.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", w.path)
	}
	if w.size >= 0 && fi.Size() > w.size {
		return w.Reset()
	}
	if fi.Size() == 0 {
		return nil
	}
	w.n, err = io.CopyBuffer(w.h, ctxReader{ctx, w.f}, make([]byte, 256<<10))
	return err
}

// Offset is how many bytes are there.
func (w *BlobWriter) Offset() int64 { return w.n }

// ReadAt reads what is there, so that a resumed blob can be unpacked from its beginning.
func (w *BlobWriter) ReadAt(p []byte, off int64) (int, error) { return w.f.ReadAt(p, off) }

// Write appends p. A write that would make the blob longer than its size fails with a *SizeError.
func (w *BlobWriter) Write(p []byte) (int, error) {
	if w.failed != nil {
		return 0, w.failed
	}
	if w.size >= 0 && w.n+int64(len(p)) > w.size {
		return 0, &SizeError{Digest: w.d, Want: w.size, Got: w.n + int64(len(p))}
	}
	var n int
	err := w.s.step("write", w.path, func() (err error) { n, err = w.f.Write(p); return err })
	w.h.Write(p[:n])
	w.n += int64(n)
	if err != nil {
		var se *SpaceError
		if errors.As(err, &se) && w.size > 0 {
			se.Need = w.size - w.n
		}
		w.failed = err
	}
	return n, err
}

// Reset throws away what is there, for a source that cannot resume.
func (w *BlobWriter) Reset() error {
	w.h.Reset()
	w.n, w.failed = 0, nil
	return w.s.step("truncate", w.path, func() error {
		if err := w.f.Truncate(0); err != nil {
			return err
		}
		_, err := w.f.Seek(0, io.SeekStart)
		return err
	})
}

// Commit checks size and digest, syncs, and gives the blob its final name. Content that is wrong is
// thrown away: *SizeError for too few bytes keeps them, since the rest may still come; *DigestError
// does not. After any other error, such as a failed sync, nothing of it is trusted again.
func (w *BlobWriter) Commit() error {
	if w.done {
		return nil
	}
	if w.failed != nil {
		return w.failed
	}
	if w.size >= 0 && w.n != w.size {
		return &SizeError{Digest: w.d, Want: w.size, Got: w.n}
	}
	if got := FromSum(w.h.Sum(nil)); got != w.d {
		w.Discard()
		return &DigestError{Want: w.d, Got: got}
	}
	if err := w.commit(); err != nil {
		// A kernel that failed to write dirty pages may have dropped them: a second sync of the same
		// file would lie.
		w.Discard()
		return fmt.Errorf("blob %s: %w", w.d, err)
	}
	w.done = true
	return w.f.Close()
}

func (w *BlobWriter) commit() error {
	s := w.s
	if err := s.syncFile(w.f); err != nil {
		return err
	}
	if err := s.rename(w.path, s.Path(Blobs, w.d.Hex())); err != nil {
		return err
	}
	// Read-only only now: another writer of the same blob opens the partial file to wait on its lock,
	// and would be refused.
	if err := s.step("chmod", s.Path(Blobs, w.d.Hex()), func() error { return w.f.Chmod(0o444) }); err != nil {
		return err
	}
	return s.syncDir(s.Path(Blobs))
}

// Close ends the writing. What is there stays for the next NewBlob, unless it was committed.
func (w *BlobWriter) Close() error {
	if w.done {
		return nil
	}
	w.done = true
	if w.n == 0 {
		os.Remove(w.path)
	}
	return w.f.Close()
}

// Discard ends the writing and removes what is there.
func (w *BlobWriter) Discard() error {
	if w.done {
		return nil
	}
	w.done = true
	os.Remove(w.path)
	return w.f.Close()
}

// PutBlob stores all of r: for small things. want is checked unless it is "".
func (s *Store) PutBlob(ctx context.Context, r io.Reader, want Digest) (Digest, int64, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	d := DigestOf(b)
	if want != "" && want != d {
		return "", 0, &DigestError{Want: want, Got: d}
	}
	w, err := s.NewBlob(ctx, d, int64(len(b)))
	if errors.Is(err, ErrExists) {
		return d, int64(len(b)), nil
	}
	if err != nil {
		return "", 0, err
	}
	defer w.Close()
	if have := w.Offset(); have > 0 { // a rest of other content under this name
		if err := w.Reset(); err != nil {
			return "", 0, err
		}
	}
	if _, err := io.Copy(w, bytes.NewReader(b)); err != nil {
		return "", 0, err
	}
	return d, int64(len(b)), w.Commit()
}
