package build

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// lockApt has apt choose what names need on top of env and pins it. keep holds versions that stay; one
// that the archives do not list any more comes from the old lock, if its file is still to be had.
func (b *Builder) lockApt(ctx context.Context, env *Env, layer string, names []string, keep map[string]string) ([]envfile.DebPin, error) {
	if b.Offline {
		return nil, hint.With(errors.New("packages cannot be chosen: --offline is given"), "run once without --offline")
	}
	archives, err := b.aptArchives(ctx, env)
	if err != nil {
		return nil, err
	}
	b.Report.Do("resolve", "packages", 0, -1)
	in := ResolveAptInput{
		Lowers: env.dirs(), Archives: archives, Names: names, Recommends: b.File.Apt.Recommends, Keep: keep,
		TempDir: b.Store.TempDir, Log: b.Log, Blob: func(sum string) (*os.File, error) { return b.openBlob(ctx, sum) },
	}
	chosen, err := ResolveApt(ctx, in)
	if err != nil {
		return nil, err
	}
	if moved := movedPins(chosen, b.oldDebs, keep, names); len(moved) > 0 {
		if chosen, err = b.resolveWithOld(ctx, env, in, moved); err != nil {
			return nil, err
		}
	}
	b.Report.Do("resolve", "packages", int64(len(chosen)), int64(len(chosen)))
	var out []envfile.DebPin
	for _, p := range chosen {
		out = append(out, debPinOf(p.Pin, layer))
	}
	return out, nil
}

func (b *Builder) openBlob(ctx context.Context, sum string) (*os.File, error) {
	d, err := store.FromHex(sum)
	if err != nil {
		return nil, err
	}
	return b.Store.OpenBlob(ctx, d)
}

// movedPins are the old pins of packages that were chosen in another version although they should
// stay and nobody named that version.
func movedPins(chosen []*deb.Package, old []envfile.DebPin, keep map[string]string, names []string) []envfile.DebPin {
	now := map[string]string{}
	for _, p := range chosen {
		now[p.Name] = p.Version
	}
	var out []envfile.DebPin
	for _, p := range old {
		v, ok := now[p.Name]
		if ok && v != p.Version && keep[p.Name] == p.Version && !slices.Contains(names, p.Name+"="+v) {
			out = append(out, p)
		}
	}
	return out
}

// resolveWithOld resolves again, with the files of old pins as an archive of their own. An old file
// that nobody has any more is an error that names the ways on; a version that something new is not
// content with moves, with a word.
func (b *Builder) resolveWithOld(ctx context.Context, env *Env, in ResolveAptInput, old []envfile.DebPin) ([]*deb.Package, error) {
	if err := b.fetchDebs(ctx, old, b.File.Image.Base, env); err != nil {
		return nil, err
	}
	pins := make([]deb.Pin, len(old))
	for i, p := range old {
		pins[i] = debPin(p)
	}
	local, err := deb.Local("http://old.invalid", arch(), pins, func(i int) (io.ReadCloser, error) { return b.openBlob(ctx, pins[i].SHA256) })
	if err != nil {
		return nil, err
	}
	in.Archives = append(in.Archives[:len(in.Archives):len(in.Archives)], local)
	chosen, err := ResolveApt(ctx, in)
	if err != nil {
		return nil, err
	}
	for _, p := range chosen {
		for _, o := range pins {
			if p.Name != o.Name {
				continue
			}
			if p.Version == o.Version {
				p.Pin = o // with the archive that it once came from
			} else {
				b.notice("package %s moves from %s to %s: other packages need that", p.Name, o.Version, p.Version)
			}
		}
	}
	return chosen, nil
}

// addDebs has the layer of pinned packages.
func (b *Builder) addDebs(ctx context.Context, env *Env, pins []envfile.DebPin, kind string, epoch int64) error {
	if len(pins) == 0 {
		return nil
	}
	name, err := key("debs", env.names(), debIdentity(pins), epoch)
	if err != nil {
		return err
	}
	return b.make(ctx, env, name, kind+" packages", func(dir string) error {
		if err := b.fetchDebs(ctx, pins, b.File.Image.Base, env); err != nil {
			return err
		}
		return InstallDebs(ctx, InstallDebsInput{
			Lowers: env.dirs(), Owners: env.OwnerDirs(), Debs: pins, Path: func(p envfile.DebPin) (string, error) { return b.debPath(ctx, p) }, Epoch: epoch, Dir: dir, Report: b.Report, Notice: b.Notice, Log: b.Log,
		})
	})
}

// candidates tells what version of a package the archives offer; nil if there are no archives.
func (b *Builder) candidates(ctx context.Context, env *Env) func(string) (string, bool) {
	if b.Offline {
		return nil
	}
	archives, err := b.aptArchives(ctx, env)
	if err != nil {
		b.without("archives", err)
		return nil
	}
	return func(name string) (string, bool) {
		all, err := deb.Versions(archives, name)
		if err != nil || len(all) == 0 {
			return "", false
		}
		return all[0].Version, true
	}
}
