package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/out"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/build"
)

// Outgoing is an image on its way out: an environment, or an image that the store has.
type Outgoing struct {
	Image out.Image
	Name  string // "host/path:tag"
	SBOM  []byte // SPDX JSON; nil for what has no lock
	Of    string // what it is, in words

	im      *images.Images
	m       *Manager
	cleanup []func()
}

// Close removes what was only made for this.
func (g *Outgoing) Close() {
	for _, f := range g.cleanup {
		f()
	}
}

// Call gives the image the name that engines will know it by.
func (g *Outgoing) Call(name string) (err error) {
	g.Name, err = fullName(name)
	return err
}

// ExportOptions say what of a project leaves.
type ExportOptions struct {
	Name string // of the image; "" = the env file's
	// Code, if set, is the git revision whose tracked files become the last layer.
	Code string
}

// Outgoing builds the environment of the lock and describes it as an image. Equal locks give equal images.
func (p *Project) Outgoing(ctx context.Context, o ExportOptions) (*Outgoing, error) {
	lock, section, err := p.locked(ctx)
	if err != nil {
		return nil, err
	}
	g, _, err := p.outgoing(ctx, lock, section)
	if err != nil {
		return nil, err
	}
	if o.Name != "" {
		if err := g.Call(o.Name); err != nil {
			return nil, err
		}
	}
	if len(lock.Sections[section].Fetches) > 0 {
		p.m.notice("what [[fetch]] brings is not in the image: mount it, or fetch it there")
	}
	if g.SBOM, err = billOfMaterials(lock, section); err != nil || o.Code == "" {
		return g, err
	}
	if err := g.addCode(ctx, p, o.Code, lock.Sections[section].Config.ProjectAt, lock.Epoch); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// outgoing builds one section of a lock.
func (p *Project) outgoing(ctx context.Context, lock *envfile.Lock, section string) (*Outgoing, *build.Env, error) {
	b, err := p.m.builder(p)
	if err != nil {
		return nil, nil, err
	}
	env, err := b.Build(ctx, lock, section)
	if err != nil {
		return nil, nil, err
	}
	sec := lock.Sections[section]
	g := &Outgoing{m: p.m, im: b.Images, Name: exportName(sec), Of: "the environment of " + p.Dir}
	g.Image = out.Image{Layers: b.Outgoing(ctx, lock, section, env), Config: exportedConfig(lock, section, env), Annotations: baseAnnotations(sec)}
	return g, env, nil
}

// fullName is a reference in full, as engines take it for a name.
func fullName(s string) (string, error) {
	r, err := images.ParseRef(s)
	if err != nil {
		return "", err
	}
	if r.Kind != images.Registry || r.Digest != "" {
		return "", hint.With(fmt.Errorf("not a name for an image: %q", s), "a name looks like registry.example/team/app:1.0")
	}
	return r.String(), nil
}

// Outgoing finds an image of the store by the name under which it was pulled, committed or imported.
func (m *Manager) Outgoing(ctx context.Context, ref string) (*Outgoing, error) {
	if found, err := m.called(ref); err != nil {
		return nil, err
	} else if len(found) > 0 {
		ref = found[0].Ref
	}
	r, err := images.ParseRef(ref)
	if err != nil {
		return nil, err
	}
	st, err := m.Store()
	if err != nil {
		return nil, err
	}
	im, err := m.images("")
	if err != nil {
		return nil, err
	}
	rec, err := st.Image(r.String())
	if errors.Is(err, store.ErrNotFound) {
		return nil, hint.With(fmt.Errorf("no image %s in the store", ref), "sandbox pull "+ref+" brings it; sandbox images lists what is there")
	} else if err != nil {
		return nil, err
	}
	img, ok := im.Known(ctx, rec.Manifest)
	if !ok {
		return nil, hint.With(fmt.Errorf("the documents of image %s are damaged or gone", ref), "sandbox pull "+ref)
	}
	img.Ref = rec.Ref
	g := &Outgoing{m: m, im: im}
	if r.Kind == images.Registry && r.Tag != "" {
		r.Digest = ""
		g.Name = r.String()
	}
	g.Of = "image " + rec.Ref
	g.Image, err = im.Leaving(ctx, img, rec.Layers, ref)
	return g, err
}

// Export writes the image to a file, which appears when it is whole. A pipe or a device is written to.
func (g *Outgoing) Export(ctx context.Context, file string) (out.Result, error) {
	switch there, err := inPlace(file); {
	case err != nil:
		return out.Result{}, err
	case there:
		w := &opened{path: file, flags: os.O_WRONLY}
		r, err := g.ExportTo(ctx, w)
		if ctx.Err() != nil { // it may still be waiting for a reader
			return r, err
		}
		return r, errors.Join(err, w.Close())
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return out.Result{}, err
	}
	return out.Export(ctx, file, g.Name, g.Image, g.im.OutOptions(func(s string) { g.m.notice("%s", s) }))
}

// ExportTo writes the image to w once it is whole: until then it is a temporary file of the store, since a tar has
// sizes before what they are of. It ends with ctx, also while w takes nothing.
func (g *Outgoing) ExportTo(ctx context.Context, w io.Writer) (r out.Result, err error) {
	st, err := g.m.Store()
	if err != nil {
		return r, err
	}
	dir, cleanup, err := st.TempDir("export")
	if err != nil {
		return r, err
	}
	defer cleanup()
	file := filepath.Join(dir, "image.tar")
	if r, err = g.Export(ctx, file); err != nil {
		return r, err
	}
	f, err := os.Open(file)
	if err != nil {
		return r, err
	}
	defer f.Close()
	return r, orEnd(ctx, func() error {
		_, err := io.Copy(w, f)
		return err
	})
}

// WriteSBOM writes the list of packages, as SPDX JSON. A pipe that nobody reads it waits for no longer than ctx.
func (g *Outgoing) WriteSBOM(ctx context.Context, file string) error {
	if g.SBOM == nil {
		return ErrNoSBOM()
	}
	there, err := inPlace(file)
	switch {
	case err != nil:
		return err
	case there:
		w := &opened{path: file, flags: os.O_WRONLY}
		return orEnd(ctx, func() error {
			_, err := w.Write(g.SBOM)
			return errors.Join(err, w.Close())
		})
	}
	if err = atomicfile.Write(file, g.SBOM, 0o644); err != nil {
		if p := new(os.PathError); errors.As(err, &p) { // which names the temporary file
			err = p.Err
		}
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// ErrNoSBOM says why there is no list of packages.
func ErrNoSBOM() error {
	return hint.With(errors.New("there is a list of packages only for an environment, whose lock pins them"), "sandbox export --sbom FILE in a project")
}
