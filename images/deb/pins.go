package deb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// URLs are the addresses at which a pinned .deb may lie, best first: sources of its own origin and
// suite, then of its origin and kind (security or not; a fix moves to the main archive with a point
// release), then sources of which the origin is not known, in the same way, then the late ones. What
// comes from there is verified by its hash, so trying is safe.
func URLs(pin Pin, sources []Source) []string {
	origin, suite := pin.split()
	var ranked [7][]string
	for _, s := range sources {
		u, err := url.Parse(s.URI)
		if err != nil || s.usable() != "" || s.Origin != "" && originName(s.Origin) != origin {
			continue
		}
		if (suite == ".") != s.flat() {
			continue
		}
		rank := 2
		switch {
		case s.Suite == suite:
			rank = 0
		case pocket(s.Suite) == pocket(suite):
			rank = 1
		}
		if originName(s.Origin) != origin {
			rank += 3
		}
		if s.Late {
			rank = 6
		}
		ranked[rank] = append(ranked[rank], u.JoinPath(pin.Path).String())
	}
	var out []string
	for _, a := range slices.Concat(ranked[:]...) {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

func (p Pin) split() (origin, suite string) {
	f := strings.Split(p.Archive, "/")
	for len(f) < 3 {
		f = append(f, "")
	}
	return f[0], f[1]
}

// GoneError is a pinned .deb that no source has any more.
type GoneError struct {
	Pin   Pin
	Offer string // the version on offer, "" if there is none or nobody could be asked
	err   error
}

func (e *GoneError) Error() string {
	offer := "no version is on offer"
	if e.Offer != "" {
		offer = "on offer is " + e.Offer
	}
	return fmt.Sprintf("package %s: version %s is gone from %s; %s", e.Pin.Name, e.Pin.Version, e.Pin.Archive, offer)
}

func (e *GoneError) Unwrap() error { return e.err }

// Hint is the two ways on.
func (e *GoneError) Hint() string {
	origin, _ := e.Pin.split()
	return fmt.Sprintf("move the pin: sandbox lock --upgrade %s; or keep it: name a dated snapshot mirror as [debian.%s] snapshot in your configuration", e.Pin.Name, origin)
}

// Fetch brings pinned .debs, jobs at a time (0 = 8), and calls got for each, from many goroutines;
// got must close the file. Those that are at hand already cost no request. A pin that vanished is a
// *GoneError; the first error ends the rest.
func (l *Loader) Fetch(ctx context.Context, pins []Pin, sources []Source, arch string, jobs int, got func(i int, f *os.File) error) error {
	if jobs <= 0 {
		jobs = 8
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i, p := range pins {
		g.Go(func() error {
			if err := p.Check(); err != nil {
				return err
			}
			f, err := l.Get.Blob(gctx, p.SHA256, p.Size, URLs(p, sources), p.FileName())
			if errors.Is(err, ErrNotFound) {
				return &GoneError{Pin: p, Offer: l.offer(ctx, p, sources, arch), err: err}
			} else if err != nil {
				return fmt.Errorf("package %s: %w", p.Name, err)
			}
			if got == nil {
				return f.Close()
			}
			return got(i, f)
		})
	}
	return g.Wait()
}

// offer asks the pin's archive for the newest version, as well as it can.
func (l *Loader) offer(ctx context.Context, p Pin, sources []Source, arch string) string {
	origin, suite := p.split()
	release, _, _ := strings.Cut(suite, "-")
	best := ""
	seen := map[string]bool{}
	for _, s := range sources {
		if s.Origin != "" && originName(s.Origin) != origin || seen[s.URI] {
			continue
		}
		seen[s.URI] = true
		for _, want := range []string{suite, release} {
			s.Suite, s.Components = want, nil
			a, err := l.Load(ctx, s, arch)
			if err != nil || originName(a.Origin) != origin {
				continue
			}
			for _, x := range a.indexes {
				pp, _ := x.named(p.Name)
				for _, q := range pp {
					if best == "" || Compare(q.Version, best) > 0 {
						best = q.Version
					}
				}
			}
		}
	}
	return best
}
