package wheel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// Digest is the pin's hash as the store names it.
func (p Pin) Digest() (store.Digest, error) {
	d, err := store.FromHex(p.SHA256)
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.File, err)
	}
	return d, nil
}

// have says whether s can give the pin without a network: unpacked, or as a file.
func have(ctx context.Context, s *store.Store, p Pin, d store.Digest) bool {
	if _, ok := s.Wheel(ctx, p.SHA256); ok {
		return true
	}
	return s.HasBlob(ctx, d, p.Size)
}

// Missing lists the pins that s has neither unpacked nor as a file.
func Missing(ctx context.Context, s *store.Store, pins []Pin) ([]Pin, error) {
	var out []Pin
	for _, p := range pins {
		d, err := p.Digest()
		if err != nil {
			return nil, err
		}
		if !have(ctx, s, p, d) {
			out = append(out, p)
		}
	}
	return out, nil
}

// Fetch brings the files of pins into s, except those that are there unpacked or as files. A pin
// with a URL is taken from there, others are looked for in the indexes that their index's name
// stands for. Everything is verified by size and sha256. Errors: as [Client.Find] and
// [fetch.Client.Blob] have them.
func Fetch(ctx context.Context, c *fetch.Client, s *store.Store, set Set, pins []Pin, report progress.Report) error {
	missing, err := Missing(ctx, s, pins)
	if err != nil || len(missing) == 0 {
		return err
	}
	jobs := make([]fetch.Job, len(missing))
	index := NewClient(c)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, p := range missing {
		g.Go(func() error {
			var err error
			jobs[i], err = locate(gctx, index, s, set, p)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	jobs = slices.DeleteFunc(jobs, func(j fetch.Job) bool { return len(j.Sources) == 0 })
	// The largest first: it would otherwise be the only one left at the end.
	slices.SortStableFunc(jobs, func(a, b fetch.Job) int { return cmp.Compare(b.Size, a.Size) })
	return c.Blobs(ctx, s, jobs, report)
}

// locate finds where a pin can be fetched. What lies in a local folder is copied at once and gives a
// job without sources.
func locate(ctx context.Context, c *Client, s *store.Store, set Set, p Pin) (fetch.Job, error) {
	d, err := p.Digest()
	if err != nil {
		return fetch.Job{}, err
	}
	f := File{Name: p.File, URL: p.URL, Size: -1}
	if p.URL == "" {
		if f, err = c.Find(ctx, set.List, p); err != nil {
			return fetch.Job{}, err
		}
	}
	job := fetch.Job{Name: p.File, Digest: d, Size: cmp.Or(p.Size, -1)}
	src, _, remote := f.Source()
	if remote {
		job.Sources = []fetch.Source{src}
		return job, nil
	}
	r, err := f.OpenLocal()
	if err != nil {
		return job, err
	}
	defer r.Close()
	_, _, err = s.PutBlob(ctx, r, d)
	if err != nil {
		err = fmt.Errorf("%s: %w", p.File, err)
	}
	return job, err
}

// Prepare unpacks pins into s, as far as they are not there unpacked, many at a time, and gives
// their folders in the order of pins. The files must be in s: see [Fetch].
func Prepare(ctx context.Context, s *store.Store, pins []Pin, report progress.Report) ([]Wheel, error) {
	out := make([]Wheel, len(pins))
	order := make([]int, len(pins))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(pins[b].Size, pins[a].Size) })
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, i := range order {
		g.Go(func() error {
			dir, err := prepare(ctx, s, pins[i], report)
			out[i] = Wheel{Dir: dir, File: pins[i].File}
			return err
		})
	}
	return out, g.Wait()
}

func prepare(ctx context.Context, s *store.Store, p Pin, report progress.Report) (string, error) {
	d, err := p.Digest()
	if err != nil {
		return "", err
	}
	dir, _, err := s.MakeWheel(ctx, p.SHA256, func(dir string) error {
		path, err := s.BlobPath(ctx, d)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%s: %w", p.File, err)
		}
		if err != nil {
			return err
		}
		report.Do("unpack", p.File, 0, 1)
		defer report.Do("unpack", p.File, 1, 1)
		return Unpack(path, p.File, dir)
	})
	return dir, err
}
