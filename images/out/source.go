package out

import (
	"context"
	"errors"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/registry"
	"github.com/4cc2e759/sandbox/images/store"
)

// maxWhy bounds what is said of a source, in bytes.
const maxWhy = 300

// fetch brings the blob of l into the store from where it came. A source that nobody answers for, or that lets us not
// in, is not asked for its other blobs: each of them would wait as long.
func (p *Packer) fetch(ctx context.Context, l Layer) error {
	if p.o.Fetch == nil {
		return store.ErrNotFound
	}
	if err := p.isLost(l); err != nil {
		return err
	}
	err := p.o.Fetch(ctx, l)
	if err == nil {
		return nil
	}
	p.log("blob of a layer cannot be fetched again", "layer", l.What, "err", err)
	if ctx.Err() != nil || l.From == "" {
		return err
	}
	var refused *registry.AccessError
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost[string(l.Digest)] = err
	if fetch.Unreachable(err) || errors.As(err, &refused) {
		p.lost[l.From] = err
	}
	return err
}

// isLost says why a layer's source is not asked for it; nil = it may be.
func (p *Packer) isLost(l Layer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.lost[string(l.Digest)]; err != nil {
		return err
	}
	return p.lost[l.From]
}

// GoneError says that a blob that was promised to a registry cannot be fetched from where it came. The packer does
// not promise it again.
type GoneError struct {
	Digest store.Digest
	What   string
	Err    error
}

func (e *GoneError) Error() string { return e.What + " cannot be fetched again: " + e.Err.Error() }

// Unwrap gives what the source said.
func (e *GoneError) Unwrap() error { return e.Err }
