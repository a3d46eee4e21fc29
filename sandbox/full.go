package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// Explain says what the user knows where an error does not: of a full store, which part of which layer
// met the end first is chance, so the error that comes back names the store alone.
func (m *Manager) Explain(err error) error {
	full := noRoom(err)
	if full == nil {
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
	full.Elsewhere = true
	return err
}

// noRoom finds a full disk or quota in an error, also one that did not come out of the store's own
// writes; nil if there is none.
func noRoom(err error) *store.SpaceError {
	path := ""
	var file *fs.PathError
	var link *os.LinkError
	var begin *start.Error
	switch {
	case errors.As(err, &file):
		path = file.Path
	case errors.As(err, &link):
		path = link.New
	case errors.As(err, &begin):
		path = begin.Path
	}
	var full *store.SpaceError
	if !errors.As(store.Space(err, "write", path), &full) {
		return nil
	}
	return full
}
