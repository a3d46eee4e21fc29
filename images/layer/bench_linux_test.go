package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// benchTar is a layer to measure with: LAYER_TAR names a .tar or .tar.gz.
func benchTar(b *testing.B) io.ReadCloser {
	path := os.Getenv("LAYER_TAR")
	if path == "" {
		b.Skip("LAYER_TAR is not set")
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return f
	}
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		b.Fatal(err)
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}
}

type hashing struct {
	r io.Reader
	h io.Writer
}

func (h hashing) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.h.Write(p[:n])
	return n, err
}

// BenchmarkApply against BenchmarkBare, which does the least that any unpacker must: read, hash, write.
func BenchmarkApply(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		dir := newLayer(b)
		r := benchTar(b)
		b.StartTimer()
		info, err := Apply(context.Background(), hashing{r, sha256.New()}, dir, ApplyOptions{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.SetBytes(info.Bytes)
		r.Close()
		removeAll(b, dir)
		b.StartTimer()
	}
}

func BenchmarkBare(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		r := benchTar(b)
		b.StartTimer()
		h := hashing{r, sha256.New()}
		bare(b, h, dir)
		io.Copy(io.Discard, h)
		b.StopTimer()
		r.Close()
		removeAll(b, dir)
		b.StartTimer()
	}
}

func bare(b *testing.B, r io.Reader, dir string) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	tr := tar.NewReader(r)
	buf := make([]byte, 1<<20)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			b.Fatal(err)
		}
		n := strings.TrimPrefix(filepath.Clean("/"+h.Name), "/")
		switch h.Typeflag {
		case tar.TypeDir:
			root.MkdirAll(n, 0o755)
		case tar.TypeReg:
			f, err := root.OpenFile(n, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, os.FileMode(h.Mode&0o777))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.CopyBuffer(struct{ io.Writer }{f}, tr, buf); err != nil {
				b.Fatal(err)
			}
			f.Close()
		case tar.TypeSymlink:
			root.Symlink(h.Linkname, n)
		case tar.TypeLink:
			root.Link(strings.TrimPrefix(filepath.Clean("/"+h.Linkname), "/"), n)
		}
	}
}
