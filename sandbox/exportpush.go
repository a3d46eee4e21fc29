package sandbox

import (
	"context"
	"errors"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/registry"
	"github.com/4cc2e759/sandbox/images/store"
)

// Push sends the image to a registry. What is there is not sent again.
func (g *Outgoing) Push(ctx context.Context, ref string) (registry.Pushed, error) {
	r, err := images.ParseRef(ref)
	if err != nil {
		return registry.Pushed{}, err
	}
	var about []images.About
	if g.SBOM != nil {
		about = append(about, images.About{MediaType: "application/spdx+json", What: "list of packages", Document: g.SBOM})
	}
	return g.im.Push(ctx, r, g.Image, about, func(s string) { g.m.notice("%s", s) })
}

// Made tells whether the store has an image of this name that was made here, by commit or import.
func (m *Manager) Made(ref string) (bool, error) {
	r, err := images.ParseRef(ref)
	if err != nil {
		return false, err
	}
	st, err := m.Store()
	if err != nil {
		return false, err
	}
	rec, err := st.Image(r.String())
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return rec.Made, err
}
