package deb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// SuiteOptions say where a release may come from.
type SuiteOptions struct {
	Host     []Source // the host's sources, see [HostSources]
	Mirror   string   // instead: the address of a mirror
	Keyring  string   // instead of the host's: a file
	NoExpiry bool     // the mirror is a dated snapshot
}

// Suite finds and verifies the archives of one release of Debian or Ubuntu: the suite itself, its
// updates and its security fixes, in this order, without their indexes. The mirrors are those of
// the host's sources (or o.Mirror), with the suite replaced; a source counts as a mirror if what it
// serves was signed for that suite and says Origin Debian or Ubuntu.
//
// A release that should have updates or security fixes but has none on a mirror that the user
// named gets a note; on the host's own mirrors it is an error.
func (l *Loader) Suite(ctx context.Context, suite string, o SuiteOptions) ([]*Archive, error) {
	if why := (Source{URI: "http://x", Suite: suite}).usable(); why != "" || strings.Contains(suite, "/") {
		return nil, fmt.Errorf("bad suite %q", suite)
	}
	main, err := l.firstWith(ctx, l.candidates(suite, o))
	if err != nil {
		if len(o.Host) == 0 && o.Mirror == "" {
			return nil, noMirror(fmt.Errorf("suite %s: this machine has no apt sources", suite))
		}
		return nil, noMirror(fmt.Errorf("suite %s: %w", suite, err))
	}
	updates := main.Source
	updates.Suite = suite + "-updates"
	var up, sec *Archive
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		up, err = l.firstWith(gctx, []Source{updates})
		return ignoreNotFound(err)
	})
	g.Go(func() (err error) {
		sec, err = l.firstWith(gctx, l.securityCandidates(suite, main, o))
		return ignoreNotFound(err)
	})
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("suite %s: %w", suite, err)
	}
	out := []*Archive{main}
	for _, a := range []struct {
		*Archive
		suffix string
	}{{up, "-updates"}, {sec, "-security"}} {
		if a.Archive != nil {
			out = append(out, a.Archive)
			continue
		}
		if main.Suite != "stable" && main.Suite != "oldstable" && main.Origin != "Ubuntu" {
			continue // testing and unstable have none, old releases lose them
		}
		what := fmt.Sprintf("%s has no %s%s", main.Source.URI, suite, a.suffix)
		if o.Mirror == "" {
			return nil, noMirror(fmt.Errorf("suite %s: %s, nor have the other apt sources of this machine", suite, what))
		}
		main.Notes = append(main.Notes, what+": packages may lack fixes")
	}
	return out, nil
}

func noMirror(err error) error {
	return hint.With(err, `check the suite's name, or name a mirror: [image] mirror = "…" (and keyring = "…" where this machine has no Debian or Ubuntu keys), or [debian.Debian] mirror in your configuration`)
}

func ignoreNotFound(err error) error {
	var e *noSourceError
	if errors.As(err, &e) && e.allMissing {
		return nil
	}
	return err
}

// candidates are the host's sources with their suite replaced, those known to be Debian or Ubuntu
// first, security archives last.
func (l *Loader) candidates(suite string, o SuiteOptions) []Source {
	if o.Mirror != "" {
		return []Source{l.explicit(o.Mirror, suite, o)}
	}
	var known, unknown, security []Source
	for _, h := range o.Host {
		s := l.moved(h, suite, o)
		switch {
		case h.flat() || h.Origin != "" && keyPackages[h.Origin] == "":
		case pocket(h.Suite) == "-security" || pocket(h.Suite) == "/updates":
			security = append(security, s)
		case h.Origin != "":
			known = append(known, s)
		default:
			unknown = append(unknown, s)
		}
	}
	return slices.Concat(known, unknown, security)
}

func (l *Loader) securityCandidates(suite string, main *Archive, o SuiteOptions) []Source {
	suite += "-security"
	var out []Source
	for _, h := range o.Host {
		if p := pocket(h.Suite); (p == "-security" || p == "/updates") && (h.Origin == "" || h.Origin == main.Origin) {
			out = append(out, l.moved(h, suite, o))
		}
	}
	if o.Mirror == "" {
		s := main.Source
		s.Suite = suite
		return append(out, s)
	}
	beside := []Source{l.explicit(o.Mirror, suite, o)}
	for _, uri := range SecurityBeside(o.Mirror) {
		beside = append(beside, l.explicit(uri, suite, o))
	}
	return append(beside, out...)
}

// SecurityBeside is where a mirror of Debian has the security archive, if it has it: beside the main
// one, also where a date follows. Ubuntu has it within.
func SecurityBeside(mirror string) []string {
	mirror = strings.TrimRight(mirror, "/")
	out := []string{mirror + "-security"}
	if dated := strings.Replace(mirror, "/debian/", "/debian-security/", 1); dated != mirror {
		out = append(out, dated)
	}
	return out
}

// moved is a host's source for another suite. The key that signs the host's release need not be the
// one that signs the other, so all keys of the two archives are good.
func (l *Loader) moved(h Source, suite string, o SuiteOptions) Source {
	s := Source{URI: h.URI, Suite: suite, Keyring: slices.Clone(h.Keyring), Keys: h.Keys, Trusted: h.Trusted, NoExpiry: h.NoExpiry, File: h.File}
	s.Keyring = append(s.Keyring, HostKeyrings(l.root())...)
	if o.Keyring != "" {
		s.Keyring, s.Keys = []string{o.Keyring}, nil
	}
	return s
}

func (l *Loader) explicit(mirror, suite string, o SuiteOptions) Source {
	s := l.moved(Source{URI: strings.TrimRight(mirror, "/"), NoExpiry: o.NoExpiry}, suite, o)
	s.File = "mirror"
	return s
}

// noSourceError collects why no source would do.
type noSourceError struct {
	why        []error
	where      []string // addresses, as whys
	allMissing bool
}

func (e *noSourceError) Error() string {
	other := func(err error) bool { return !errors.Is(err, ErrNotFound) }
	if len(e.where) > 0 && !slices.ContainsFunc(e.why, other) {
		return "no apt source has it: " + strings.Join(e.where, ", ")
	}
	s := make([]string, len(e.why))
	for i, w := range e.why {
		s[i] = w.Error()
	}
	return "no apt source has it: " + strings.Join(s, "; ")
}

func (e *noSourceError) Unwrap() []error { return e.why }

// firstWith is the Release of the first source that has one by Debian or Ubuntu.
func (l *Loader) firstWith(ctx context.Context, srcs []Source) (*Archive, error) {
	e := &noSourceError{allMissing: true}
	tried := map[string]bool{}
	for _, s := range srcs {
		if tried[s.URI] || s.usable() != "" {
			continue // such as "-security" beside a mirror at the top of its host
		}
		tried[s.URI] = true
		a, err := l.Release(ctx, s)
		if err == nil && keyPackages[a.Origin] == "" {
			err = fmt.Errorf("%s: its origin is %q", s, a.Origin)
		} else if err == nil {
			return a, nil
		} else if !errors.Is(err, ErrNotFound) {
			e.allMissing = false
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e.why, e.where = append(e.why, err), append(e.where, Source{URI: s.URI}.String())
	}
	return nil, e
}
