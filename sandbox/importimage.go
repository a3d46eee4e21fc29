package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/build"
)

// Import takes the image of a file into the store, as name or as the file calls it.
func (m *Manager) Import(ctx context.Context, file, name string) (*images.Image, error) {
	im, err := m.images("")
	if err != nil {
		return nil, err
	}
	if file, err = filepath.Abs(file); err != nil {
		return nil, err
	}
	if fi, err := os.Stat(file); err == nil && !fi.IsDir() && !fi.Mode().IsRegular() {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("import %w", err)
		}
		defer f.Close()
		return m.ImportFrom(ctx, f, name)
	}
	return im.Import(ctx, file, name, build.Platform())
}

// ImportFrom is Import of what comes through a pipe. An archive is read in no order, so it is a temporary file of the
// store for as long as that takes.
func (m *Manager) ImportFrom(ctx context.Context, r io.Reader, name string) (*images.Image, error) {
	st, err := m.Store()
	if err != nil {
		return nil, err
	}
	dir, cleanup, err := st.TempDir("import")
	if err != nil {
		return nil, err
	}
	defer cleanup()
	file := filepath.Join(dir, "standard-input.tar")
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	most := m.limits().WithDefaults().Bytes
	stop := context.AfterFunc(ctx, func() {
		if c, ok := r.(io.Closer); ok { // a read of a pipe waits for ever
			c.Close()
		}
	})
	defer stop()
	n, err := io.Copy(f, io.LimitReader(r, most+1))
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("import: %w", store.Space(err, "write", file))
	case n > most:
		return nil, fmt.Errorf("import: %w", &layer.LimitError{What: "archive", Key: "size", Limit: most})
	}
	im, err := m.images("")
	if err != nil {
		return nil, err
	}
	return im.Import(ctx, file, name, build.Platform())
}

// Inspect finds out what a reference stands for: in the store, in a file or in a registry. No layer is
// fetched.
func (m *Manager) Inspect(ctx context.Context, ref string) (*images.Image, error) {
	im, err := m.images("")
	if err != nil {
		return nil, err
	}
	return m.resolve(ctx, im, ref)
}

// keepMade keeps the blobs of an image that was made here: no registry has them, and compressed anew they would
// have other digests. What the frozen encoder made could be made again; to tell it apart is not worth it. As long as
// what lists them cannot be read, they cannot be told from rubbish.
func (m *Manager) keepMade(st *store.Store, keep map[string]bool, r store.ImageRecord) error {
	im, err := m.images("")
	if err != nil {
		return err
	}
	img, err := im.Stored(r.Manifest)
	if errors.Is(err, store.ErrNotFound) {
		now, err := st.Image(r.Ref)
		if r.Dir != st.Dir() || errors.Is(err, store.ErrNotFound) || err == nil && now.Manifest != r.Manifest {
			return nil // another store lacks it, or it was forgotten meanwhile and collected by another process
		}
	}
	if err != nil {
		err = fmt.Errorf("image %s: %w", r.Ref, err)
		if !errors.Is(err, fs.ErrPermission) {
			err = hint.With(err, "import it again, or commit its sandbox again; sandbox rmi "+r.Ref+" forgets it")
		}
		return err
	}
	for _, l := range img.Layers {
		keepBlobs(keep, string(l.Digest))
	}
	return nil
}

// keepDocuments keeps what says what a sandbox of an image stands on: without it the sandbox could not be committed
// once nobody names the image.
func (m *Manager) keepDocuments(keep map[string]bool, s State) error {
	manifest := store.Digest(s.Env)
	if manifest.Hex() == "" {
		return nil
	}
	im, err := m.images("")
	if err != nil {
		return err
	}
	img, err := im.Stored(manifest)
	if errors.Is(err, store.ErrNotFound) {
		return nil // there is nothing left to keep
	}
	if err != nil {
		err = fmt.Errorf("the image of sandbox %s: %w", s.Name, err)
		if !errors.Is(err, fs.ErrPermission) {
			err = hint.With(err, "sandbox verify takes what is damaged out of the store; pull the image again then")
		}
		return err
	}
	keepBlobs(keep, string(manifest), string(img.ConfigDigest))
	return nil
}
