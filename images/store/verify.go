package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/4cc2e759/sandbox/internal/progress"
)

// Damage is one thing in the store that is not what its name says.
type Damage struct {
	Kind   Kind
	Name   string
	Path   string
	Detail string
}

func (d Damage) String() string { return fmt.Sprintf("%s %s: %s", d.Kind, d.Name, d.Detail) }

// VerifyOptions of [Store.Verify].
type VerifyOptions struct {
	// Layer checks one layer; package layer has one. nil leaves layers out.
	Layer func(l Layer) error
	// Report is told about each thing.
	Report progress.Report
}

// Verify reads everything in the own store again and names what is damaged. [Store.RemoveBlob] and
// [Store.RemoveLayer] make room for a good copy. The error is for a store that cannot be read at all.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) ([]Damage, error) {
	var out []Damage
	blobs, err := os.ReadDir(s.Path(Blobs))
	if err != nil {
		return nil, err
	}
	layers, err := os.ReadDir(s.Path(Layers))
	if err != nil {
		return nil, err
	}
	if o.Layer == nil {
		layers = nil
	}
	total := int64(len(blobs) + len(layers))
	var done int64
	for _, e := range blobs {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if err := verifyBlob(s.Path(Blobs, e.Name()), e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			out = append(out, Damage{KindBlob, e.Name(), s.Path(Blobs, e.Name()), err.Error()})
		}
		done++
		o.Report.Do("verify", "store", done, total)
	}
	for _, e := range layers {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		dir := s.Path(Layers, e.Name())
		if err := s.verifyLayer(e.Name(), dir, o.Layer); err != nil {
			out = append(out, Damage{KindLayer, e.Name(), dir, err.Error()})
		}
		done++
		o.Report.Do("verify", "store", done, total)
	}
	return out, nil
}

func verifyBlob(path, name string) error {
	want, err := FromHex(name)
	if err != nil {
		return errors.New("not the name of a blob")
	}
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return errors.Join(errors.New("not a regular file"), err)
	}
	h := sha256.New()
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 1<<20)); err != nil {
		return err
	}
	if got := FromSum(h.Sum(nil)); got != want {
		return &DigestError{Want: want, Got: got}
	}
	return nil
}

func (s *Store) verifyLayer(name, dir string, check func(Layer) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	release, err := s.Use(name)
	if errors.Is(err, ErrNotFound) {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil // collected meanwhile
		}
		return errors.New("not a folder")
	}
	if err != nil {
		return err
	}
	defer release()
	return check(layerAt(name, dir))
}

// RemoveLayer deletes a layer of the own store, used or not: for damaged ones. Sandboxes that run on it
// keep what they have open.
func (s *Store) RemoveLayer(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	t, err := s.tempDir("remove")
	if err != nil {
		return err
	}
	defer t.close()
	err = s.rename(s.Path(Layers, name), t.path+"/layer")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
