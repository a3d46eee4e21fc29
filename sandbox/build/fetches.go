package build

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/images/unpack"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/plan"
)

// Fetches has the files of [[fetch]] in the store and says where they lie. They are mounted, never
// part of a layer.
func (b *Builder) Fetches(ctx context.Context, sec *envfile.Section) ([]plan.Fetched, error) {
	var out []plan.Fetched
	for _, f := range sec.Fetches {
		d, err := store.ParseDigest("sha256:" + f.SHA256)
		if err != nil {
			return nil, fmt.Errorf("fetch %s: %w", f.To, err)
		}
		if err := b.fetchBlob(ctx, d, f); err != nil {
			return nil, fmt.Errorf("fetch %s: %w", f.To, err)
		}
		src, err := b.Store.BlobPath(ctx, d)
		if err != nil {
			return nil, err
		}
		if f.Unpack {
			if src, err = b.unpacked(ctx, d, src); err != nil {
				return nil, fmt.Errorf("fetch %s: %w", f.To, err)
			}
		} else if f.Mode != 0 && f.Mode != 0o644 {
			if src, err = b.withMode(ctx, d, f.Mode); err != nil {
				return nil, err
			}
		}
		out = append(out, plan.Fetched{Source: src, To: f.To})
	}
	return out, nil
}

func (b *Builder) fetchBlob(ctx context.Context, d store.Digest, f envfile.FetchPin) error {
	size := f.Size
	if size == 0 {
		size = -1
	}
	if b.Store.HasBlob(ctx, d, size) {
		return nil
	}
	if b.Offline {
		return hint.With(fmt.Errorf("not in the store, and --offline is given: %s", f.URL), "run once without --offline")
	}
	if err := b.Fetch.Blob(ctx, b.Store, d, size, []fetch.Source{{URL: f.URL}}, filepath.Base(f.To), b.Report); err != nil {
		return fmt.Errorf("%s: %w", shown(f.URL), err)
	}
	return nil
}

// shown is an address without what may be secret in it: a password, or a query that is a signature.
func shown(addr string) string {
	u, err := url.Parse(addr)
	if err != nil {
		return "an address that cannot be read"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// unpacked is the folder of a fetched tar, plain or compressed with gzip or zstd; made once, with the
// care of an image's layer.
func (b *Builder) unpacked(ctx context.Context, d store.Digest, archive string) (string, error) {
	name, err := key("unpacked", nil, string(d))
	if err != nil {
		return "", err
	}
	l, _, err := b.Store.MakeLayer(ctx, name, func(dir string) error {
		f, err := os.Open(archive)
		if err != nil {
			return err
		}
		defer f.Close()
		packed := &countingReader{r: f}
		plain, done, err := unpack.Plain(ctx, packed)
		if err != nil {
			return err
		}
		defer done()
		info, err := layer.Apply(ctx, plain, dir, layer.ApplyOptions{NoSide: true, Limits: b.Limits, Packed: packed.count, Log: b.Log})
		foreign := err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader)
		if foreign && info.Entries == 0 {
			err = hint.With(errors.New("not a tar archive"), "unpack = true takes tar, tar.gz and tar.zst")
		}
		if err == nil && info.Odd != "" {
			b.notice("fetch %s: %s; -v names the first", d.Hex()[:12], info.Odd)
		}
		return err
	})
	return l.FS, err
}

// countingReader counts, for the one goroutine that reads.
type countingReader struct {
	r io.Reader
	n int64
}

// Read counts.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countingReader) count() int64 { return c.n }

// withMode is a copy of a blob with another mode: the blob's own file belongs to everybody.
func (b *Builder) withMode(ctx context.Context, d store.Digest, mode uint32) (string, error) {
	name, err := key("fetch", nil, string(d), mode)
	if err != nil {
		return "", err
	}
	l, _, err := b.Store.MakeLayer(ctx, name, func(dir string) error {
		src, err := b.Store.BlobPath(ctx, d)
		if err != nil {
			return err
		}
		dst := filepath.Join(dir, "fs", "file")
		if err := CopyFile(src, dst); err != nil {
			return err
		}
		return os.Chmod(dst, os.FileMode(mode).Perm())
	})
	return filepath.Join(l.FS, "file"), err
}

// lockFetches pins [[fetch]]: the hash stands in the env file already.
func (b *Builder) lockFetches() []envfile.FetchPin {
	var out []envfile.FetchPin
	for _, f := range b.File.Fetches {
		out = append(out, envfile.FetchPin{URL: f.URL, SHA256: f.SHA256, To: f.To, Unpack: f.Unpack, Mode: f.Mode})
	}
	return out
}
