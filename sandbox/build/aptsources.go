package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// maxAptFile bounds a list of sources or a keyring of an image.
const maxAptFile = 16 << 20

// imageSources are the apt sources that an image names, with the keys that it trusts for them. The
// keys come along as text: nothing points at files any more.
func (b *Builder) imageSources(env *Env) ([]deb.Source, error) {
	tree := layer.NewStack(env.dirs())
	defer tree.Close()
	if _, err := tree.Stat("/etc/apt"); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	dir, cleanup, err := b.Store.TempDir("apt-sources-")
	if err != nil {
		return nil, err
	}
	defer cleanup()
	for _, d := range []string{"etc/apt", "etc/apt/sources.list.d", "etc/apt/trusted.gpg.d", "usr/share/keyrings"} {
		if err := copyFlat(tree, "/"+d, filepath.Join(dir, d)); err != nil {
			return nil, fmt.Errorf("apt sources of the image: %w", err)
		}
	}
	sources, err := deb.HostSources(dir)
	if err != nil {
		return nil, fmt.Errorf("apt sources of the image: %s", strings.ReplaceAll(err.Error(), dir, ""))
	}
	for i := range sources {
		s := &sources[i]
		s.File = strings.TrimPrefix(s.File, dir)
		files := s.Keyring
		if len(files) == 0 && len(s.Keys) == 0 {
			files = deb.HostKeyrings(dir)
		}
		s.Keyring = nil
		for _, f := range files {
			key, err := tree.ReadFile(strings.TrimPrefix(f, dir), maxAptFile)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return nil, fmt.Errorf("keyring of the image: %w", err)
			}
			s.Keys = append(s.Keys, string(key))
		}
	}
	return sources, nil
}

// copyFlat copies the files of one folder of an image; links are followed inside of the image.
func copyFlat(tree *layer.Stack, from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := tree.ReadDir(from)
	if err != nil {
		return gone(err)
	}
	for _, e := range entries {
		name := path.Join(from, e.Name())
		if fi, err := tree.Stat(name); err != nil || !fi.Mode().IsRegular() {
			continue // a folder, or a link that leads nowhere
		}
		b, err := tree.ReadFile(name, maxAptFile)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// fileSources are the archives that the env file adds.
func (b *Builder) fileSources() []deb.Source {
	var out []deb.Source
	for _, s := range b.File.Apt.Sources {
		d := deb.Source{URI: strings.TrimRight(s.URL, "/"), Suite: s.Suite, Components: s.Components, File: "[[apt.source]]"}
		if s.Key != "" {
			d.Keyring = []string{filepath.Join(b.Dir, s.Key)}
		}
		out = append(out, d)
	}
	return out
}

// aptArchives are the archives that apt chooses from, with their indexes: those of a deb: base or
// those that the image names, and those of the env file. For a deb: base env may be nil.
func (b *Builder) aptArchives(ctx context.Context, env *Env) ([]*deb.Archive, error) {
	key := "apt"
	if !isDeb(b.File.Image.Base) {
		key += " " + strings.Join(env.names(), " ")
	}
	if b.archives[key] != nil {
		return b.archives[key], nil
	}
	var archives []*deb.Archive
	var err error
	told := 0 // archives whose notes the user knows
	if isDeb(b.File.Image.Base) {
		if archives, err = b.suite(ctx, b.File.Image.Base); err != nil {
			return nil, err
		}
		told = len(archives)
		archives = archives[:told:told]
	} else if archives, err = b.archivesInside(ctx, env); err != nil {
		return nil, err
	}
	for _, s := range b.fileSources() {
		a, err := b.debLoader().Release(ctx, s)
		if err != nil {
			return nil, err
		}
		archives = append(archives, a)
	}
	if err := b.debLoader().Indexes(ctx, archives, arch()); err != nil {
		return nil, err
	}
	for _, a := range archives[told:] {
		for _, n := range a.Notes {
			b.notice("%s", n)
		}
	}
	if b.archives == nil {
		b.archives = map[string][]*deb.Archive{}
	}
	b.archives[key] = archives
	return archives, nil
}

func (b *Builder) archivesInside(ctx context.Context, env *Env) ([]*deb.Archive, error) {
	tree := layer.NewStack(env.dirs())
	defer tree.Close()
	if err := needApt(tree); err != nil {
		return nil, err
	}
	return b.imageArchives(ctx, env)
}

// imageArchives verifies the sources of an image. One that a third party's file adds and that is gone
// or signed by a key which the image does not have is left out, with a word: old images have such,
// and what they offered was not asked for. Those of the distribution itself must be good.
func (b *Builder) imageArchives(ctx context.Context, env *Env) ([]*deb.Archive, error) {
	sources, err := b.imageSources(env)
	if err != nil {
		return nil, err
	}
	var out []*deb.Archive
	for _, s := range sources {
		if !s.ForArch(arch()) {
			continue
		}
		a, err := b.debLoader().Release(ctx, s)
		if errors.Is(err, deb.ErrNotFound) && ownSources(s.File) {
			a, err = b.elsewhere(ctx, s, err)
		}
		var signature *deb.SignatureError
		var expired *deb.ExpiredError
		if err != nil && !ownSources(s.File) && (errors.Is(err, deb.ErrNotFound) || errors.As(err, &signature) || errors.As(err, &expired)) {
			b.notice("%s is left out: %v", s.File, err)
			continue
		} else if err != nil {
			return nil, fmt.Errorf("apt source of the image: %w", err)
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, errors.New("the image names no apt source that works")
	}
	return out, nil
}

// elsewhere looks for a release that has left the mirror which the image names, as old ones do, on
// the mirrors of the user's configuration.
func (b *Builder) elsewhere(ctx context.Context, s deb.Source, notFound error) (*deb.Archive, error) {
	for _, name := range []string{"Debian", "Ubuntu"} {
		d := b.User.Debian[name]
		for _, uri := range []string{d.Mirror, d.Snapshot} {
			if uri == "" {
				continue
			}
			for _, u := range append([]string{uri}, deb.SecurityBeside(uri)...) {
				t := s
				t.URI, t.NoExpiry = strings.TrimRight(u, "/"), uri == d.Snapshot
				if a, err := b.debLoader().Release(ctx, t); err == nil && a.Origin == name {
					return a, nil
				}
			}
		}
	}
	return nil, hint.With(notFound, "an old release leaves the ordinary mirrors: name one that still has it as [debian.Debian] mirror or snapshot in your configuration")
}

// snapshotSources are dated mirrors, which have files that the others have dropped.
func (b *Builder) snapshotSources() []deb.Source {
	return b.userSources(func(d envfile.DebianOrigin) string { return d.Snapshot })
}

// mirrorSources are the mirrors of the user's configuration, for files that those of an image have dropped.
func (b *Builder) mirrorSources() []deb.Source {
	return b.userSources(func(d envfile.DebianOrigin) string { return d.Mirror })
}

func (b *Builder) userSources(which func(envfile.DebianOrigin) string) []deb.Source {
	var out []deb.Source
	for _, name := range []string{"Debian", "Ubuntu"} {
		if uri := which(b.User.Debian[name]); uri != "" {
			for _, u := range append([]string{uri}, deb.SecurityBeside(uri)...) {
				out = append(out, deb.Source{URI: strings.TrimRight(u, "/"), Suite: "any", Origin: name, NoExpiry: true, Late: true, File: "[debian." + name + "]"})
			}
		}
	}
	return out
}

// ownSources tells the files in which Debian and Ubuntu have their own archives.
func ownSources(file string) bool {
	switch file {
	case "/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list.d/ubuntu.sources":
		return true
	}
	return false
}
