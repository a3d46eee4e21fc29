package out

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
)

// Export writes im to the file at path, which appears when it is whole: an OCI layout in a tar, with
// manifest.json. name is what engines will call the image ("host/path:tag"); "" leaves it without a name.
// The bytes depend on im and name alone.
func Export(ctx context.Context, path, name string, im Image, o Options) (r Result, err error) {
	f, err := create(path)
	if err != nil {
		return r, fmt.Errorf("write %s: %w", path, unwrapPath(err))
	}
	defer func() {
		if err != nil {
			f.discard()
		}
	}()
	if r, err = writeArchive(ctx, f.File, name, im, o); err != nil {
		return r, store.Space(err, "write", path)
	}
	// As the umask has it: the name is the user's, not a secret.
	if err = f.Chmod(0o666 &^ umask()); err != nil {
		return r, err
	}
	if err = f.Sync(); err != nil {
		return r, store.Space(err, "sync", path)
	}
	if err = f.finish(); err != nil {
		return r, store.Space(err, "write", path)
	}
	if err = atomicfile.SyncDir(filepath.Dir(path)); err != nil {
		return r, err
	}
	return r, f.Close()
}

// unwrapPath takes the temporary name out of an error.
func unwrapPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// writeArchive writes layers first: their digests and sizes are known when they are written, so their
// headers are filled in afterwards and nothing has to be kept twice.
func writeArchive(ctx context.Context, f *os.File, name string, im Image, o Options) (Result, error) {
	a := &archive{f: f, seen: map[store.Digest]bool{}, epoch: created(im.Config)}
	p := NewPacker(o)
	if err := a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return Result{}, err
	}
	for _, dir := range []string{"blobs/", "blobs/sha256/"} {
		if err := a.folder(dir); err != nil {
			return Result{}, err
		}
	}
	var layers []Descriptor
	for _, l := range im.Layers {
		d, err := a.layer(ctx, p, l)
		if err != nil {
			return Result{}, err
		}
		layers = append(layers, d)
	}
	docs, err := makeDocuments(im, layers)
	if err != nil {
		return Result{}, err
	}
	index, err := docs.index(name)
	if err != nil {
		return Result{}, err
	}
	docker, err := docs.dockerManifest(name)
	if err != nil {
		return Result{}, err
	}
	for _, x := range []struct {
		name string
		data []byte
	}{{blobName(store.DigestOf(docs.config)), docs.config}, {blobName(docs.digest()), docs.manifest}, {"index.json", index}, {"manifest.json", docker}} {
		if err := a.file(x.name, x.data); err != nil {
			return Result{}, err
		}
	}
	if err := a.end(); err != nil {
		return Result{}, err
	}
	return Result{Manifest: docs.digest(), Config: store.DigestOf(docs.config), Layers: len(layers), Size: a.off}, nil
}

// archive writes a tar whose headers may come after their contents.
type archive struct {
	f     *os.File
	off   int64
	epoch time.Time
	seen  map[store.Digest]bool
}

const block = 512

// header is always one block: sizes that octal digits cannot hold are in GNU's binary form.
func (a *archive) header(name string, size int64) ([]byte, error) {
	h := &tar.Header{Name: name, Size: size, Mode: 0o644, Typeflag: tar.TypeReg, ModTime: a.epoch, Format: tar.FormatUSTAR}
	if size >= 8<<30 {
		h.Format = tar.FormatGNU
	}
	if name[len(name)-1] == '/' {
		h.Typeflag, h.Mode = tar.TypeDir, 0o755
	}
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(h); err != nil {
		return nil, err
	}
	if b.Len() != block {
		return nil, fmt.Errorf("tar header of %s has %d bytes", name, b.Len())
	}
	return b.Bytes(), nil
}

func (a *archive) folder(name string) error {
	h, err := a.header(name, 0)
	if err != nil {
		return err
	}
	return a.append(h)
}

func (a *archive) file(name string, data []byte) error {
	h, err := a.header(name, int64(len(data)))
	if err != nil {
		return err
	}
	return a.append(append(append(h, data...), make([]byte, padding(int64(len(data))))...))
}

func padding(n int64) int64 { return (block - n%block) % block }

func (a *archive) append(b []byte) error {
	n, err := a.f.WriteAt(b, a.off)
	a.off += int64(n)
	return err
}

// layer appends the blob of l, unless it is there already.
func (a *archive) layer(ctx context.Context, p *Packer, l Layer) (Descriptor, error) {
	body := a.off + block
	w := io.NewOffsetWriter(a.f, body)
	buf := bufio.NewWriterSize(w, 256<<10)
	d, err := p.stream(ctx, l, buf, func() error {
		buf.Reset(w)
		if _, err := w.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return a.f.Truncate(body)
	})
	if err == nil {
		err = buf.Flush()
	}
	if err != nil {
		return d, err
	}
	if a.seen[d.Digest] {
		return d, a.f.Truncate(a.off)
	}
	a.seen[d.Digest] = true
	h, err := a.header(blobName(d.Digest), d.Size)
	if err != nil {
		return d, err
	}
	if err := a.append(h); err != nil {
		return d, err
	}
	a.off += d.Size
	return d, a.append(make([]byte, padding(d.Size)))
}

// end writes the two empty blocks of a tar's end.
func (a *archive) end() error { return a.append(make([]byte, 2*block)) }
