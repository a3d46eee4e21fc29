package sandbox

import (
	"errors"
	"strings"

	"github.com/4cc2e759/sandbox/images/store"
)

// Explain says what the user knows where an error does not: of a full store, which part of which layer
// met the end first is chance, so the error that comes back names the store alone.
func (m *Manager) Explain(err error) error {
	var full *store.SpaceError
	if !errors.As(err, &full) {
		return err
	}
	dirs := []string{m.StoreDir()}
	if st, err := m.Store(); err == nil {
		dirs = append(dirs, st.Dir()) // links resolved
	}
	m.o.Log.Info("no room", "err", err)
	for _, d := range dirs {
		if full.Path == d || strings.HasPrefix(full.Path, d+"/") {
			return &store.SpaceError{Path: m.StoreDir(), Quota: full.Quota, Need: full.Need, Err: err}
		}
	}
	return err
}
