package deb

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// NewGetter is the [Getter] that downloads with c and keeps what has a hash as blobs of s. c must
// allow plain http: most archives are served so, and everything that comes is verified here.
func NewGetter(c *fetch.Client, s *store.Store, report progress.Report) Getter {
	return &storeGetter{c, s, report}
}

type storeGetter struct {
	c      *fetch.Client
	s      *store.Store
	report progress.Report
}

func (g *storeGetter) Get(ctx context.Context, url string, max int64) ([]byte, error) {
	b, _, err := g.c.Get(ctx, fetch.Source{URL: url}, max)
	return b, notFound(err)
}

func (g *storeGetter) Blob(ctx context.Context, sha256 string, size int64, urls []string, name string) (*os.File, error) {
	d, err := store.FromHex(sha256)
	if err != nil {
		return nil, err
	}
	if !g.s.HasBlob(ctx, d, size) {
		sources := make([]fetch.Source, len(urls))
		for i, u := range urls {
			sources[i] = fetch.Source{URL: u}
		}
		if len(sources) == 0 {
			return nil, fmt.Errorf("%s: no known source: %w", name, ErrNotFound)
		}
		if err := g.c.Blob(ctx, g.s, d, size, sources, name, g.report); err != nil {
			return nil, notFound(err)
		}
	}
	return g.s.OpenBlob(ctx, d)
}

// notFound makes a missing file recognisable without package fetch.
func notFound(err error) error {
	var missing fetch.ErrNotFound
	if errors.As(err, &missing) {
		return fmt.Errorf("%w (%w)", ErrNotFound, err)
	}
	return err
}
