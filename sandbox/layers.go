package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/images/store"
)

// ownLayer is a layer of what a start alone needs (mount points, a name for the user, links to a driver), made once
// per name. Where the store cannot be written it is made for this process alone.
func (m *Manager) ownLayer(ctx context.Context, name string, fill func(dir string) error) (string, error) {
	st, err := m.Store()
	if err != nil {
		return "", err
	}
	l, _, err := st.MakeLayer(ctx, name, fill)
	if !errors.Is(err, store.ErrReadOnly) {
		return l.FS, err
	}
	spare, serr := m.l.Spare()
	if serr != nil {
		return "", errors.Join(err, serr)
	}
	dir := filepath.Join(spare, name)
	fs := filepath.Join(dir, "fs")
	if _, err := os.Lstat(fs); err == nil {
		return fs, nil
	}
	if err := os.MkdirAll(fs, 0o755); err != nil {
		return "", err
	}
	return fs, fill(dir)
}
