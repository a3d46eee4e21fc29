package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// debLoader reads archives through the store.
func (b *Builder) debLoader() *deb.Loader {
	return &deb.Loader{Get: deb.NewGetter(b.Fetch, b.Store, b.Report), Log: b.Log}
}

// keyring is the env file's keyring, below the project.
func (b *Builder) keyring() string {
	k := b.File.Image.Keyring
	if k == "" || filepath.IsAbs(k) {
		return k
	}
	return filepath.Join(b.Dir, k)
}

// suite finds and verifies the archives of a deb: base, without their indexes.
func (b *Builder) suite(ctx context.Context, ref string) ([]*deb.Archive, error) {
	if b.archives[ref] != nil {
		return b.archives[ref], nil
	}
	name, _, err := debRef(ref)
	if err != nil {
		return nil, err
	}
	if b.Offline {
		return nil, hint.With(fmt.Errorf("suite %s: --offline is given", name), "run once without --offline")
	}
	o, err := b.suiteOptions()
	if err != nil {
		return nil, err
	}
	archives, err := b.debLoader().Suite(ctx, name, o)
	if err != nil {
		return nil, err
	}
	for _, a := range archives {
		for _, n := range a.Notes {
			b.notice("%s", n)
		}
	}
	if b.archives == nil {
		b.archives = map[string][]*deb.Archive{}
	}
	b.archives[ref] = archives
	return archives, nil
}

// suiteOptions say where archives lie: the env file, the user's configuration, the host's apt. A dated
// snapshot is for files that other mirrors have dropped, and chosen from only where nothing else is.
func (b *Builder) suiteOptions() (deb.SuiteOptions, error) {
	o := deb.SuiteOptions{Mirror: b.File.Image.Mirror, Keyring: b.keyring()}
	origins := []envfile.DebianOrigin{b.User.Debian["Debian"], b.User.Debian["Ubuntu"]}
	for _, d := range origins {
		if o.Mirror == "" && d.Mirror != "" {
			o.Mirror, o.Keyring = d.Mirror, cmp.Or(o.Keyring, d.Keyring)
		}
	}
	if o.Mirror != "" {
		return o, nil
	}
	host, err := deb.HostSources("/")
	if err != nil {
		return o, fmt.Errorf("the host's apt sources: %w", err)
	}
	o.Host = host
	for _, d := range origins {
		if len(host) == 0 && o.Mirror == "" && d.Snapshot != "" {
			o.Mirror, o.Keyring, o.NoExpiry = d.Snapshot, cmp.Or(o.Keyring, d.Keyring), true
		}
	}
	return o, nil
}

// debRef splits "deb:SUITE+PKG+PKG".
func debRef(ref string) (suite string, packages []string, err error) {
	base, err := envfile.ParseBase(ref)
	if err != nil {
		return "", nil, err
	}
	return base.Suite, base.Packages, nil
}

// lockDebBase pins the packages of a deb: base. They stay as they are in the old lock unless one of
// them is set free.
func (b *Builder) lockDebBase(ctx context.Context, sec *envfile.Section, in LockInput) (int64, error) {
	ref := b.File.Image.Base
	sec.Image = envfile.ImagePin{Ref: ref}
	if in.Old != nil {
		if old := in.Old.Sections[in.Section]; old != nil && old.Image.Ref == ref && in.Old.Epoch != 0 && staysAsItIs(old, in.Upgrade) {
			sec.Debs = append(sec.Debs, debsOf(old, "base")...)
			return in.Old.Epoch, nil
		}
	}
	archives, err := b.suite(ctx, ref)
	if err != nil {
		return 0, err
	}
	if err := b.debLoader().Indexes(ctx, archives, arch()); err != nil {
		return 0, err
	}
	_, names, err := debRef(ref)
	if err != nil {
		return 0, err
	}
	packages, err := deb.Closure(archives, names, deb.ClosureOptions{Base: true})
	if err != nil {
		return 0, err
	}
	for _, p := range packages {
		sec.Debs = append(sec.Debs, debPinOf(p.Pin, "base"))
	}
	var date int64
	for _, a := range archives {
		date = max(date, a.Date.Unix())
	}
	return date, nil
}

// staysAsItIs tells whether no pin of the base may move.
func staysAsItIs(old *envfile.Section, up envfile.Upgrade) bool {
	if up.All {
		return false
	}
	base := map[string]bool{"base": true}
	for _, d := range debsOf(old, "base") {
		base[d.Name] = true
	}
	for _, n := range up.Names {
		if base[n] {
			return false
		}
	}
	return len(base) > 1
}

func debPinOf(p deb.Pin, layer string) envfile.DebPin {
	return envfile.DebPin{Name: p.Name, Version: p.Version, Arch: p.Arch, Archive: p.Archive, Path: p.Path, Size: p.Size, SHA256: p.SHA256, Layer: layer}
}

// addDebBase has the layer of a deb: base.
func (b *Builder) addDebBase(ctx context.Context, env *Env, sec *envfile.Section, epoch int64) error {
	pins := debsOf(sec, "base")
	name, err := key("deb base", nil, debIdentity(pins), epoch)
	if err != nil {
		return err
	}
	return b.make(ctx, env, name, "base "+sec.Image.Ref, func(dir string) error {
		if err := b.fetchDebs(ctx, pins, sec.Image.Ref, env); err != nil {
			return err
		}
		return AssembleDebBase(ctx, DebBaseInput{
			Debs: pins, Path: func(p envfile.DebPin) (string, error) { return b.debPath(ctx, p) }, Epoch: epoch, Dir: dir, Report: b.Report, Notice: b.Notice, Log: b.Log,
		})
	})
}

// debPath is where a fetched .deb lies.
func (b *Builder) debPath(ctx context.Context, p envfile.DebPin) (string, error) {
	d, err := store.FromHex(p.SHA256)
	if err != nil {
		return "", err
	}
	return b.Store.BlobPath(ctx, d)
}

// fetchDebs has pinned .debs in the store; what is there costs no request, and where all are there
// no archive is asked.
func (b *Builder) fetchDebs(ctx context.Context, pins []envfile.DebPin, base string, env *Env) error {
	var missing []deb.Pin
	for _, p := range pins {
		d, err := store.FromHex(p.SHA256)
		if err != nil {
			return fmt.Errorf("package %s: %w", p.Name, err)
		}
		if !b.Store.HasBlob(ctx, d, p.Size) {
			missing = append(missing, debPin(p))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if b.Offline {
		return hint.With(fmt.Errorf("%d packages are not in the store, the first is %s, and --offline is given", len(missing), missing[0].Name), "run once without --offline")
	}
	sources, err := b.debSources(ctx, base, env)
	if err != nil {
		return err
	}
	err = b.debLoader().Fetch(ctx, missing, sources, arch(), 0, func(_ int, f *os.File) error { return f.Close() })
	var gone *deb.GoneError
	if errors.As(err, &gone) && gone.Offer == "" && isDeb(base) {
		// Nothing is on offer at all: perhaps these are no mirrors of the suite.
		if _, serr := b.suite(ctx, base); serr != nil {
			return serr
		}
	}
	return err
}

// debSources are where .debs of an environment may come from: the archives of a deb: base, or those that
// the image itself names. Path and hash of the files are known, so nobody is asked for a signature or
// an index, unless that was done anyway.
func (b *Builder) debSources(ctx context.Context, base string, env *Env) ([]deb.Source, error) {
	var out []deb.Source
	switch name, _, err := debRef(base); {
	case !isDeb(base):
		if out, err = b.imageSources(env); err != nil {
			return nil, err
		}
		out = slices.DeleteFunc(out, func(s deb.Source) bool { return !s.ForArch(arch()) })
		slices.SortStableFunc(out, func(s, t deb.Source) int { return cmp.Compare(theirs(s), theirs(t)) })
		out = append(out, b.mirrorSources()...)
	case err != nil:
		return nil, err
	case b.archives[base] != nil:
		out = sourcesOf(b.archives[base])
	default:
		o, err := b.suiteOptions()
		if err != nil {
			return nil, err
		}
		if out = b.debLoader().Candidates(name, o); len(out) == 0 {
			_, err := b.suite(ctx, base) // says why
			return nil, err
		}
	}
	return slices.Concat(out, b.fileSources(), b.snapshotSources()), nil
}

// theirs is 1 for the sources of third parties.
func theirs(s deb.Source) int {
	if ownSources(s.File) {
		return 0
	}
	return 1
}

func sourcesOf(archives []*deb.Archive) []deb.Source {
	out := make([]deb.Source, len(archives))
	for i, a := range archives {
		out[i] = a.Source
	}
	return out
}
