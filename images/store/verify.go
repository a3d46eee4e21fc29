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
// cannot be read at all.
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
		if err := ctx.Err(); err != nil {
			return out, err
		}
		path := s.Path(k.folder, k.name)
		err := k.check(ctx, path, k.name)
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if err != nil && !gone(path) {
			d := Damage{Kind: k.kind, Name: k.name, Path: path, Detail: err.Error()}
			if o.Remove {
				d.Removed = s.takeOut(d)
			}
			out = append(out, d)
		}
		o.Report.Do("verify", "store", int64(i+1), int64(len(all)))
	}
	return out, nil
}

// gone: collected meanwhile.
func gone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// takeOut takes the name away, then removes what it stood for. It is false where that cannot be done.
func (s *Store) takeOut(d Damage) bool {
	t, err := s.tempDir("damaged")
	if err != nil {
		s.log.Warn("cannot remove what is damaged", "path", d.Path, "err", err)
		return false
	}
	defer t.close()
	moved, err := s.moveOne(candidate{kind: d.Kind, name: d.Name, path: d.Path}, t.path+"/it")
	if err != nil {
		s.log.Warn("cannot remove what is damaged", "path", d.Path, "err", err)
	}
	return moved
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
		return errors.Join(errors.New("not a regular file"), err)
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
