package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// Job is one file for [Client.Blobs].
type Job struct {
	Name    string // what errors and progress call it
	Digest  store.Digest
	Size    int64 // bytes; -1 = not known
	Sources []Source
}

// Blob puts a file into s, unless s or a store of its chain has it. What an interrupted run had
// fetched is continued. Errors: [ErrNotFound], *[HashError], *[SizeError], *[StatusError] and those
// of the network and the disk, with the name. After wrong content nothing is kept.
func (c *Client) Blob(ctx context.Context, s *store.Store, d store.Digest, size int64, sources []Source, name string, report progress.Report) error {
	if s.HasBlob(ctx, d, size) {
		report.Do("fetch", name, max(size, 0), max(size, 0))
		return nil
	}
	j := Job{name, d, size, sources}
	joined, err := c.fill(ctx, s, j, report, true)
	if !wrongContent(err) || ctx.Err() != nil || (!joined && len(sources) == 1) {
		return err
	}
	// A part from an earlier run or from another server may be what was wrong: each source alone.
	for _, src := range sources {
		j.Sources = []Source{src}
		_, again := c.fill(ctx, s, j, report, false)
		if again == nil || ctx.Err() != nil {
			return again
		}
		if wrongContent(again) {
			err = again
		}
	}
	return err
}

// fill brings what the partial blob lacks, or all of it. After wrong content nothing is left.
func (c *Client) fill(ctx context.Context, s *store.Store, j Job, report progress.Report, resume bool) (joined bool, err error) {
	w, err := s.NewBlob(ctx, j.Digest, j.Size)
	if errors.Is(err, store.ErrExists) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("fetch %s: %w", j.Name, err)
	}
	defer w.Close()
	if !resume && w.Offset() > 0 {
		if err := w.Reset(); err != nil {
			return false, err
		}
	}
	joined, err = c.copy(ctx, w, j, report)
	if wrongContent(err) {
		w.Discard()
	}
	return joined, err
}

func wrongContent(err error) bool {
	var h *HashError
	var s *SizeError
	return errors.As(err, &h) || errors.As(err, &s)
}

// buffers are for bodies; large ones keep the number of system calls small.
var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

func (c *Client) copy(ctx context.Context, w *store.BlobWriter, j Job, report progress.Report) (joined bool, err error) {
	body := c.Open(ctx, Request{Name: j.Name, Sources: j.Sources, Size: j.Size, Offset: w.Offset()})
	defer body.Close()
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	report.Do("fetch", j.Name, w.Offset(), j.Size)
	for {
		n, err := body.Read(*buf)
		if n > 0 {
			if _, err := w.Write((*buf)[:n]); err != nil {
				return body.Joined(), fmt.Errorf("fetch %s: %w", j.Name, err)
			}
			if w.Offset() != j.Size {
				report.Do("fetch", j.Name, w.Offset(), j.Size)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return body.Joined(), err
		}
	}
	if err := w.Commit(); err != nil {
		return body.Joined(), verifyError(j.Name, err)
	}
	report.Do("fetch", j.Name, w.Offset(), w.Offset())
	return body.Joined(), nil
}

// Blobs runs jobs in parallel. The first error ends the others; what is finished stays, and what was
// begun is continued by the next call.
func (c *Client) Blobs(ctx context.Context, s *store.Store, jobs []Job, report progress.Report) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Jobs)
	seen := map[store.Digest]bool{}
	for _, j := range jobs {
		if seen[j.Digest] {
			continue
		}
		seen[j.Digest] = true
		if inner.Err() != nil {
			break
		}
		g.Go(func() error { return c.Blob(inner, s, j.Digest, j.Size, j.Sources, j.Name, report) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// verifyError gives an error of the store's verification the file's name.
func verifyError(name string, err error) error {
	var d *store.DigestError
	var z *store.SizeError
	switch {
	case errors.As(err, &d):
		return &HashError{Name: name, Want: string(d.Want), Got: string(d.Got)}
	case errors.As(err, &z):
		return &SizeError{Name: name, Want: z.Want, Got: z.Got}
	}
	return fmt.Errorf("fetch %s: %w", name, err)
}
