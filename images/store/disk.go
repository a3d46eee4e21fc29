package store

import (
	"fmt"
	"os"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// step is one write to the disk. All of them pass here, so that each can be made to fail in a test and
// each reports a full disk in the same words.
func (s *Store) step(op, path string, f func() error) error {
	var err error
	if s.o.Faults != nil {
		err = s.o.Faults(op, path)
	}
	if err == nil {
		err = f()
	}
	switch {
	case err == nil:
		return nil
	case readOnly(err):
		return hint.With(fmt.Errorf("%w: %w", ErrReadOnly, err), "set SANDBOX_STORE to a folder that you can write")
	}
	return Space(err, op, path)
}

func (s *Store) rename(from, to string) error {
	return s.step("rename", to, func() error { return os.Rename(from, to) })
}

func (s *Store) syncFile(f *os.File) error { return s.step("sync", f.Name(), f.Sync) }

// syncDir makes new and removed names in dir durable.
func (s *Store) syncDir(dir string) error {
	return s.step("sync", dir, func() error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer d.Close()
		return d.Sync()
	})
}

// writeFile replaces dir/name by data, whole or not at all.
func (s *Store) writeFile(dir, name string, data []byte, mode os.FileMode) error {
	t, err := s.tempFile(name)
	if err != nil {
		return err
	}
	defer t.close()
	if err := s.step("write", t.path, func() error { _, err := t.lock.Write(data); return err }); err != nil {
		return err
	}
	if err := s.step("chmod", t.path, func() error { return t.lock.Chmod(mode) }); err != nil {
		return err
	}
	if err := s.syncFile(t.lock); err != nil {
		return err
	}
	if err := s.rename(t.path, dir+"/"+name); err != nil {
		return err
	}
	return s.syncDir(dir)
}
