package registry

import (
	"context"
	"errors"
	"net/url"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
)

// Body is a layer's blob on its way. It is for one goroutine.
type Body struct {
	*fetch.WideBody
	e *endpoint
}

// Open begins to read a layer's blob at offset, from the first endpoint that has it. Its reader must
// verify what it gets.
func (r *Repository) Open(ctx context.Context, d store.Digest, size, offset int64, what string) (*Body, error) {
	var sources []fetch.Source
	for _, e := range r.alive() {
		sources = append(sources, e.source("/blobs/"+string(d), ""))
	}
	return &Body{r.c.fetch.OpenWide(ctx, fetch.Request{Name: what, Sources: sources, Size: size, Offset: offset}, r.c.wide), r.endpoints[len(r.endpoints)-1]}, nil
}

// Read explains a refusal of the registry itself; where it keeps its blobs is none of the user's accounts.
func (b *Body) Read(p []byte) (int, error) {
	n, err := b.WideBody.Read(p)
	var s *fetch.StatusError
	if errors.As(err, &s) {
		if u, perr := url.Parse(s.URL); perr == nil && u.Host == b.e.repo.RegistryStr() {
			err = b.e.explain(err)
		}
	}
	return n, err
}
