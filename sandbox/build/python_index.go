package build

import (
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/wheel"
)

// indexes are the Python indexes that are known on this machine and in this environment. Asking the
// host's pip takes its time, so it is done once.
func (b *Builder) indexes(ctx context.Context, env *Env) (wheel.Set, error) {
	if b.known.From != "" {
		return b.known, nil
	}
	set, err := b.findIndexes(ctx, env)
	if err == nil {
		b.known = set
	}
	return set, err
}

func (b *Builder) findIndexes(ctx context.Context, env *Env) (wheel.Set, error) {
	s := wheel.Settings{Getenv: func(k string) string { return b.Environ[k] }, Etc: "/etc", RunPython: true, User: map[string]string{}}
	for _, x := range b.File.Python.Indexes {
		s.File = append(s.File, wheel.Index{Name: x.Name, URL: x.URL, Only: x.Only})
	}
	for name, x := range b.User.Index {
		s.User[name] = x.URL
	}
	if pips, err := filepath.Glob("/usr/share/python-wheels/pip-*.whl"); err == nil {
		s.Pips = pips
	}
	set, err := wheel.Indexes(ctx, s)
	if err != nil || set.From != "" || env == nil {
		return set, err
	}
	// Nothing on this machine: what the image's own pip would use.
	py, st, err := b.python(env)
	defer st.Close()
	if err != nil {
		return set, nil
	}
	for _, dir := range py.Site {
		src, err := st.ReadFile(path.Join(dir, "pip/_internal/models/index.py"), 1<<20)
		if err != nil {
			continue
		}
		if u, err := wheel.PipModelsDefault(src); err == nil {
			set.List, set.From = append(set.List, wheel.Index{Name: wheel.Default, URL: u}), "the pip of the image"
			return set, nil
		}
	}
	// Neither: the pip that Debian has as a package, which is not installed for this.
	if s.Pips = b.archivePip(ctx, env); len(s.Pips) > 0 {
		return wheel.Indexes(ctx, s)
	}
	return set, nil
}

// archivePip is the wheel of pip in the archives of an environment, in the store; nil where there is
// none to be had.
func (b *Builder) archivePip(ctx context.Context, env *Env) []string {
	path, err := b.pipOfArchives(ctx, env)
	if err != nil {
		b.without("pip from the archives", err)
		return nil
	}
	return []string{path}
}

func (b *Builder) pipOfArchives(ctx context.Context, env *Env) (string, error) {
	pins, err := b.lockApt(ctx, env, "pip", []string{pipDeb}, nil)
	if err != nil {
		return "", err
	}
	pins = slices.DeleteFunc(pins, func(d envfile.DebPin) bool { return d.Name != pipDeb })
	if len(pins) == 0 {
		return "", fs.ErrNotExist
	}
	if err := b.fetchDebs(ctx, pins, b.File.Image.Base, env); err != nil {
		return "", err
	}
	deb, err := b.debPath(ctx, pins[0])
	if err != nil {
		return "", err
	}
	f, err := os.Open(deb)
	if err != nil {
		return "", err
	}
	defer f.Close()
	pin, err := PipFromDeb(ctx, b.Store, f)
	if err != nil {
		return "", err
	}
	d, err := pin.Digest()
	if err != nil {
		return "", err
	}
	return b.Store.BlobPath(ctx, d)
}
