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
	Kind    Kind
	Name    string
	Path    string
	Detail  string
	Removed bool // it is out of the store, and made again when it is next needed
}

func (d Damage) String() string { return fmt.Sprintf("%s %s: %s", d.Kind, d.Name, d.Detail) }

// VerifyOptions of [Store.Verify].
type VerifyOptions struct {
	// Layer checks one layer; package layer has one. nil leaves layers out.
	Layer func(ctx context.Context, l Layer) error
	// Wheel checks one unpacked wheel; package wheel has one. nil leaves wheels out.
	Wheel func(ctx context.Context, dir string) error
	// Remove takes what is damaged out of the store, so that the next pull or build makes it again. A layer
	// that a running sandbox uses stays.
	Remove bool
	// Report is told about each thing.
	Report progress.Report
}

// Verify reads everything in the own store again and names what is damaged. The error is for a store that
// cannot be read at all, and for what could not be checked, by no fault of its own ([ErrUnchecked], a
// [SpaceError]): it is not called damaged.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) ([]Damage, error) {
	type thing struct {
		kind   Kind
		folder string
		name   string
		check  func(ctx context.Context, path, name string) error
	}
	var all []thing
	for _, k := range []thing{
		{KindBlob, Blobs, "", verifyBlob},
		{KindLayer, Layers, "", func(ctx context.Context, path, name string) error { return s.verifyLayer(ctx, name, path, o.Layer) }},
		{KindWheel, Wheels, "", func(ctx context.Context, path, _ string) error { return verifyWheel(ctx, path, o.Wheel) }},
		{KindImage, ImageRefs, "", verifyRecord},
	} {
		if k.kind == KindLayer && o.Layer == nil || k.kind == KindWheel && o.Wheel == nil {
			continue
		}
		entries, err := os.ReadDir(s.Path(k.folder))
		if err != nil && (!errors.Is(err, fs.ErrNotExist) || k.kind == KindBlob) {
			return nil, err
		}
		for _, e := range entries {
			k.name = e.Name()
			all = append(all, k)
		}
	}
	var out []Damage
	for i, k := range all {
		d, err := s.verifyOne(ctx, candidate{kind: k.kind, name: k.name, path: s.Path(k.folder, k.name)}, k.check, o.Remove)
		if err != nil {
			return out, err
		}
		if d != nil {
			out = append(out, *d)
		}
		o.Report.Do("verify", "store", int64(i+1), int64(len(all)))
	}
	return out, nil
}

// verifyOne is nil for what is right, or gone. The error is that of ctx, or for what could not be
// checked.
func (s *Store) verifyOne(ctx context.Context, c candidate, check func(ctx context.Context, path, name string) error, remove bool) (*Damage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	held, err := hold(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		defer held.Close()
		err = check(ctx, c.path, c.name)
	}
	if ctx.Err() != nil || err == nil || gone(c.path) {
		return nil, ctx.Err()
	}
	var full *SpaceError
	if errors.Is(err, ErrUnchecked) || errors.As(err, &full) {
		return nil, fmt.Errorf("%s %s: %w", c.kind, short(c.name), err)
	}
	d := &Damage{Kind: c.kind, Name: c.name, Path: c.path, Detail: err.Error()}
	if remove && held != nil {
		d.Removed = s.takeOut(c, held)
	}
	return d, nil
}

// gone: collected meanwhile.
func gone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func verifyRecord(_ context.Context, path, name string) error {
	r, err := readRecord(path)
	if err == nil && recordName(r.Ref) != name {
		err = fmt.Errorf("it is the record of %q", r.Ref)
	}
	return err
}

func verifyBlob(ctx context.Context, path, name string) error {
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
		return errors.Join(errNotRegular, err)
	}
	h := sha256.New()
	if _, err := io.CopyBuffer(h, ctxReader{ctx, f}, make([]byte, 1<<20)); err != nil {
		return err
	}
	if got := FromSum(h.Sum(nil)); got != want {
		return &DigestError{Want: want, Got: got}
	}
	return nil
}

var errNotRegular = errors.New("not a regular file")

var errNotWhole = errors.New("it is not as its maker left it: something is gone or was cut short")

// verifyWheel looks first at what lies where the list of files should: it may keep a reader waiting.
func verifyWheel(ctx context.Context, dir string, check func(context.Context, string) error) error {
	if !whole(KindWheel, dir) {
		return errNotWhole
	}
	return check(ctx, dir)
}

func (s *Store) verifyLayer(ctx context.Context, name, dir string, check func(context.Context, Layer) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	if fi, err := os.Lstat(dir); err != nil || !fi.IsDir() {
		return errors.Join(errors.New("not a folder"), err)
	}
	if !whole(KindLayer, dir) {
		return errNotWhole
	}
	release, err := s.Use(name)
	if errors.Is(err, ErrNotFound) {
		return errors.New("it has been taken away")
	}
	if err != nil {
		return err
	}
	defer release()
	return check(ctx, layerAt(name, dir))
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
