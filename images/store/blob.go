package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/4cc2e759/sandbox/internal/lockfile"
	"github.com/4cc2e759/sandbox/internal/usemark"
)

// emptyDigest is that of no bytes.
const emptyDigest Digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// HasBlob says whether a store of the chain has d, and leases it. size is what d must have, or -1 if it is
// not known: a file of another size is damaged, counts as missing, and is removed if it is ours.
func (s *Store) HasBlob(ctx context.Context, d Digest, size int64) bool {
	s.leaseQuietly(ctx, KindBlob, d.Hex())
	_, err := s.findBlob(ctx, d, size)
	return err == nil
}

// BlobPath is where d lies, for binding it into a sandbox, and leases it; ErrNotFound.
func (s *Store) BlobPath(ctx context.Context, d Digest) (string, error) {
	s.leaseQuietly(ctx, KindBlob, d.Hex())
	return s.findBlob(ctx, d, -1)
}

// OpenBlob opens d for reading, and leases it; ErrNotFound. It does not hash again: see [Store.Verify].
func (s *Store) OpenBlob(ctx context.Context, d Digest) (*os.File, error) {
	p, err := s.BlobPath(ctx, d)
	if err != nil {
		return nil, err
	}
	// Never block on a fifo, never follow a link that somebody put here.
	f, err := os.OpenFile(p, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d, err)
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("blob %s: %w", d, errors.Join(ErrNotFound, err))
	}
	return f, nil
}

// ReadBlob reads d, which has at most max bytes, from the first store of the chain where it is right. It leases nothing
// and leaves what is damaged where it is: it is for who wants to know what d says before anything is deleted. The
// error names the file that cannot be read, or is ErrNotFound.
func (s *Store) ReadBlob(d Digest, max int64) ([]byte, error) {
	if d.Hex() == "" {
		return nil, fmt.Errorf("not a sha256 digest: %q", string(d))
	}
	var errs []error
	for dir := range s.each {
		b, err := readBlob(filepath.Join(dir, Blobs, d.Hex()), d, max)
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("blob %s: %w", d, ErrNotFound)
	}
	return nil, errors.Join(errs...)
}

func readBlob(path string, d Digest, max int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("not a regular file: %s", path), err)
	}
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if got := DigestOf(b); got != d {
		return nil, fmt.Errorf("%s: %w", path, &DigestError{Want: d, Got: got})
	}
	return b, nil
}

func (s *Store) findBlob(ctx context.Context, d Digest, size int64) (string, error) {
	h := d.Hex()
	if h == "" {
		return "", fmt.Errorf("not a sha256 digest: %q", string(d))
	}
	for dir, own := range s.each {
		p := filepath.Join(dir, Blobs, h)
		fi, err := os.Lstat(p)
		if err != nil {
			continue
		}
		// An empty file is what a power cut makes of one that was not synced.
		empty := fi.Size() == 0 && d != emptyDigest
		if fi.Mode().IsRegular() && !empty && (size < 0 || fi.Size() == size) {
			if own {
				usemark.Touch(p, fi)
			}
			return p, nil
		}
		if own {
			s.removeWrong(ctx, p, h)
		}
	}
	return "", fmt.Errorf("blob %s: %w", d, ErrNotFound)
}

// removeWrong removes a blob of another size than somebody wants, unless it is what its name says: the
// manifest of a stranger must not take from the store what others need. It is read once.
func (s *Store) removeWrong(ctx context.Context, path, hex string) {
	s.mu.Lock()
	known := s.right[hex]
	s.mu.Unlock()
	if known {
		return
	}
	held, err := hold(path)
	if err != nil {
		return
	}
	defer held.Close()
	err = verifyBlob(ctx, path, hex)
	switch {
	case ctx.Err() != nil: // not known
	case err == nil:
		s.mu.Lock()
		if s.right == nil {
			s.right = map[string]bool{}
		}
		s.right[hex] = true
		s.mu.Unlock()
	case isWrong(err):
		s.dropBlob(path, hex, held)
	}
}

func (s *Store) dropBlob(path, hex string, held *os.File) {
	s.log.Warn("a blob is damaged and is removed", "path", path)
	s.notice("a blob in the store was damaged, it is fetched again: sha256:" + short(hex) + "…")
	s.takeOut(candidate{kind: KindBlob, name: hex, path: path}, held)
}

// Recheck reads d again, of the own store, and removes it if it is not what it is called. It is false if there is
// no such blob then, or another in its place.
func (s *Store) Recheck(ctx context.Context, d Digest) bool {
	if d.Hex() == "" {
		return false
	}
	p := s.Path(Blobs, d.Hex())
	held, err := hold(p)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer held.Close()
	if err := verifyBlob(ctx, p, d.Hex()); !isWrong(err) {
		return true
	}
	s.dropBlob(p, d.Hex(), held)
	return false
}

// RemoveBlobFile removes d from the own store if it still is the file f: for who has read it and found it wrong.
// What another process has brought again meanwhile stays.
func (s *Store) RemoveBlobFile(d Digest, f *os.File) error {
	p := s.Path(Blobs, d.Hex())
	if d.Hex() == "" {
		return fmt.Errorf("not a sha256 digest: %q", string(d))
	}
	if s.takeOut(candidate{kind: KindBlob, name: d.Hex(), path: p}, f) {
		return nil
	}
	if same, err := lockfile.Names(p, f); same || err != nil {
		return errors.Join(fmt.Errorf("cannot remove what is damaged: %s", p), err)
	}
	return nil
}

// RemoveBlob deletes d from the store itself, if it is there.
func (s *Store) RemoveBlob(d Digest) error {
	if d.Hex() == "" {
		return fmt.Errorf("not a sha256 digest: %q", string(d))
	}
	err := os.Remove(s.Path(Blobs, d.Hex()))
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}
