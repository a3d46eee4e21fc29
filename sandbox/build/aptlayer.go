package build

import (
	"context"
	"fmt"
	"os"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// lockApt has apt choose what names need on top of env and pins it. keep holds versions that stay if
// the archives still have them.
func (b *Builder) lockApt(ctx context.Context, env *Env, layer string, names []string, keep map[string]string) ([]envfile.DebPin, error) {
	if b.Offline {
		return nil, hint.With(fmt.Errorf("packages cannot be chosen: --offline is given"), "run once without --offline")
	}
	archives, err := b.aptArchives(ctx, env)
	if err != nil {
		return nil, err
	}
	b.Report.Do("resolve", "packages", 0, -1)
	chosen, err := ResolveApt(ctx, ResolveAptInput{
		Lowers: env.dirs(), Archives: archives, Names: names, Recommends: b.File.Apt.Recommends, Keep: keep,
		TempDir: b.Store.TempDir, Log: b.Log,
		Blob: func(sum string) (*os.File, error) {
			d, err := store.FromHex(sum)
			if err != nil {
				return nil, err
			}
			return b.Store.OpenBlob(d)
		},
	})
	if err != nil {
		return nil, err
	}
	b.Report.Do("resolve", "packages", int64(len(chosen)), int64(len(chosen)))
	var out []envfile.DebPin
	for _, p := range chosen {
		out = append(out, debPinOf(p.Pin, layer))
	}
	return out, nil
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
			Lowers: env.dirs(), Debs: pins, Path: b.debPath, Epoch: epoch, Dir: dir, Report: b.Report, Notice: b.Notice, Log: b.Log,
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
		b.log().Info("no archives", "err", err)
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
