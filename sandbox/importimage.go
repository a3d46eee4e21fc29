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
	"github.com/4cc2e759/sandbox/images/archive"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/build"
)

// Import takes the image of a file into the store, as name or as the file calls it. Of several it takes the one that
// the file calls name.
func (m *Manager) Import(ctx context.Context, file, name string) (*images.Image, error) {
	fi, err := os.Stat(file)
	switch {
	case file == "":
		return nil, errors.New("import: the name of the file is empty")
	case err != nil:
		if r, bad := images.ParseRef(file); bad == nil && r.Kind != images.Registry {
			return nil, hint.With(fmt.Errorf("import takes the name of a file: %s", file), "sandbox pull "+file)
		}
	case fi.IsDir():
		_, take := archive.Folder(file)
		return nil, hint.With(fmt.Errorf("import %s: not a file but a folder", file), take)
	case !fi.Mode().IsRegular():
		f := &opened{path: file, flags: os.O_RDONLY}
		return m.importFrom(ctx, f, file, name)
	}
	im, err := m.images("")
	if err != nil {
		return nil, err
	}
	return im.Import(ctx, images.File{Path: file}, name, build.Platform())
}

// ImportFrom is Import of what comes through a pipe. It ends with ctx, also while nothing comes.
func (m *Manager) ImportFrom(ctx context.Context, r io.Reader, name string) (*images.Image, error) {
	return m.importFrom(ctx, io.NopCloser(r), "-", name)
}

// importFrom keeps what r gives as a temporary file of the store for as long as it is read, as an archive is in no
// order. It is called what the user calls it.
func (m *Manager) importFrom(ctx context.Context, r io.ReadCloser, called, name string) (*images.Image, error) {
	st, err := m.Store()
	if err != nil {
		return nil, err
	}
	dir, cleanup, err := st.TempDir("import")
	if err != nil {
		return nil, err
	}
	defer cleanup()
	file := filepath.Join(dir, "image.tar")
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	most := m.limits().WithDefaults().Bytes
	var n int64
	err = orEnd(ctx, func() (err error) {
		defer r.Close()
		n, err = io.Copy(f, io.LimitReader(r, most+1))
		return err
	})
	switch {
	case ctx.Err() != nil: // n may still change
		return nil, ctx.Err()
	case err != nil:
		if p := new(os.PathError); errors.As(err, &p) && p.Path == called { // it is named once
			err = p.Err
		}
		return nil, fmt.Errorf("import %s: %w", called, store.Space(err, "write", file))
	case n > most:
		return nil, fmt.Errorf("import %s: %w", called, &layer.LimitError{What: "archive", Key: "size", Limit: most})
	}
	im, err := m.images("")
	if err != nil {
		return nil, err
	}
	return im.Import(ctx, images.File{Path: file, Called: called}, name, build.Platform())
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
