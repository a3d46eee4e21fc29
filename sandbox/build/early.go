package build

import (
	"context"
	"errors"
	"strings"

	"github.com/4cc2e759/sandbox/envfile/toolchain"
	"github.com/4cc2e759/sandbox/images/deb"
)

// early refuses, before any layer is made, what a deb: base cannot give: its archives say so by
// themselves. What an image offers shows only when it is there, so other bases are not looked at.
func (l *locking) early(ctx context.Context) error {
	_, more, err := debRef(l.File.Image.Base)
	if err != nil {
		return err
	}
	plan := len(l.File.Toolchain) > 0 && len(more) == 0
	if l.Offline || len(l.File.Apt.Packages) == 0 && !plan {
		return nil
	}
	archives, err := l.aptArchives(ctx, nil)
	if err != nil {
		return err
	}
	if plan {
		// Nothing of what a claim can be about is essential or required. What was added may meet it.
		steps, err := toolchain.Plan(l.File.Toolchain, l.offers(ctx))
		if err != nil {
			return err
		}
		if err := toolchain.Refusals(steps); err != nil {
			return err
		}
	}
	return l.knownNames(archives)
}

// knownNames are all that [apt] names, in archives or among the pins of the base, which may be older.
func (l *locking) knownNames(archives []*deb.Archive) error {
	pinned := map[string]bool{}
	for _, p := range l.sec.Debs {
		pinned[p.Name], pinned[p.Name+"="+p.Version] = true, true
	}
	var unknown []*deb.UnknownError
	for _, n := range l.File.Apt.Packages {
		if pinned[n] {
			continue
		}
		e, err := lookFor(archives, n, pinned)
		if err != nil {
			return err
		}
		if e != nil {
			unknown = append(unknown, e)
		}
	}
	return unknownDebs(unknown)
}

// unknownDebs tells all at once; nil if there are none.
func unknownDebs(unknown []*deb.UnknownError) error {
	errs := make([]error, len(unknown))
	for i, e := range unknown {
		e.Several = len(unknown) > 1
		errs[i] = e
	}
	return errors.Join(errs...)
}

// lookFor looks for name or name=version; nil if the archives have it.
func lookFor(archives []*deb.Archive, n string, installed map[string]bool) (*deb.UnknownError, error) {
	name, version, _ := strings.Cut(n, "=")
	name, _, _ = strings.Cut(name, ":")
	if !installed[name] && !deb.Provided(archives, name) {
		return unknownDeb(archives, name, nil), nil
	}
	if version == "" {
		return nil, nil
	}
	all, err := deb.Versions(archives, name)
	if err != nil {
		return nil, err
	}
	versions := make([]string, 0, len(all))
	for _, p := range all {
		if p.Version == version {
			return nil, nil
		}
		versions = append(versions, p.Version)
	}
	return unknownDeb(archives, n, versions), nil
}
