package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/out"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/owner"
)

// labelFrom holds the digest of the environment that a committed image was changed from.
const labelFrom = "io.github.4cc2e759.sandbox.committed-from"

// Commit makes an image called ref of what the kept sandbox name stands on and of what was changed in it:
// exactly one more layer. Owners are those that chown asked for inside; caches and what belongs to this
// machine stay. The sandbox must have ended and stays as it is.
func (m *Manager) Commit(ctx context.Context, name, ref string) (*images.Image, error) {
	r, err := images.ParseRef(ref)
	if err != nil {
		return nil, err
	}
	in, state, err := m.ended(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	g, below, err := m.standsOn(ctx, name, state)
	if err != nil {
		return nil, err
	}
	change, err := m.changes(in, below, g.Image.Config.Created.Unix())
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", name, err)
	}
	change.What = "changes of " + name
	g.Image.Layers = append(g.Image.Layers, change)
	g.Image.Manifest = nil
	m.sayWritten(in)
	return g.im.Keep(ctx, r, g.Image, func(s string) { m.notice("%s", s) })
}

// ended opens a kept sandbox that does not run.
func (m *Manager) ended(name string) (*launch.Instance, *State, error) {
	if err := CheckName(name); err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(filepath.Join(m.l.Sandboxes(), name)); err != nil {
		return nil, nil, hint.With(fmt.Errorf("no sandbox %s", name), "sandbox ps -a lists them; run --name NAME keeps one")
	}
	in, err := m.l.Open(name)
	if errors.Is(err, ErrRunning) {
		return nil, nil, hint.With(fmt.Errorf("%w: %s", ErrRunning, name), "commit it when it has ended")
	} else if err != nil {
		return nil, nil, err
	}
	state, err := in.State()
	if err == nil && state == nil {
		err = hint.With(fmt.Errorf("sandbox %s was ended before it had begun", name), "run it again, or remove it: sandbox rm "+name)
	}
	if err != nil {
		in.Close()
		return nil, nil, err
	}
	return in, state, nil
}

// standsOn is the image below a kept sandbox, and the folders of its layers in the store, bottom first.
func (m *Manager) standsOn(ctx context.Context, name string, s *State) (*Outgoing, []string, error) {
	if s.Project == "" {
		return m.standsOnImage(ctx, name, s)
	}
	p, err := m.Project(s.Project, ProjectOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("the project of sandbox %s: %w", name, err)
	}
	if p.l.LockSrc == nil {
		return nil, nil, fmt.Errorf("the project of sandbox %s has no %s: %s", name, LockName, p.Dir)
	}
	lock, err := envfile.ReadLock(LockName, p.l.LockSrc)
	if err != nil {
		return nil, nil, err
	}
	for _, section := range slices.Sorted(maps.Keys(lock.Sections)) {
		if lock.Digest(section) != s.Env {
			continue
		}
		g, env, err := p.outgoing(ctx, lock, section)
		if err != nil {
			return nil, nil, err
		}
		labels := g.Image.Config.Labels
		delete(labels, LabelLock) // it is not what the lock promises any more
		labels[labelFrom] = s.Env
		return g, env.OwnerDirs(), nil
	}
	return nil, nil, hint.With(fmt.Errorf("sandbox %s was made on environment %s, which %s does not lock any more", name, s.Env, filepath.Join(p.Dir, LockName)),
		"go back to the lock that it was made with")
}

func (m *Manager) standsOnImage(ctx context.Context, name string, s *State) (*Outgoing, []string, error) {
	d, err := store.ParseDigest(s.Env)
	if err != nil {
		return nil, nil, fmt.Errorf("what sandbox %s stands on is not known: %w", name, err)
	}
	st, err := m.Store()
	if err != nil {
		return nil, nil, err
	}
	im, err := m.images("")
	if err != nil {
		return nil, nil, err
	}
	img, ok := im.Known(ctx, d)
	if !ok {
		return nil, nil, hint.With(fmt.Errorf("the image of sandbox %s is not in the store any more: %s", name, d), "pull it by this digest")
	}
	if list, err := st.Images(); err == nil {
		for _, rec := range list {
			if rec.Manifest == d {
				img.Ref = rec.Ref
				break
			}
		}
	}
	layers, err := im.Pull(ctx, img)
	if err != nil {
		return nil, nil, err
	}
	g := &Outgoing{m: m, im: im}
	var names, dirs []string
	for _, l := range layers {
		names, dirs = append(names, l.Name), append(dirs, l.Dir)
	}
	g.Image, err = im.Leaving(ctx, img, names, "base")
	return g, dirs, err
}

// changes is the writable layer as a layer of an image.
func (m *Manager) changes(in *launch.Instance, below []string, epoch int64) (out.Layer, error) {
	upper := filepath.Join(in.Dir, "upper")
	remembered, err := owner.Read(upper)
	if err != nil {
		return out.Layer{}, err
	}
	owners, err := build.OwnersOver(upper, below, remembered)
	if err != nil {
		return out.Layer{}, err
	}
	hide, err := build.StaleBytecode(upper, below)
	if err != nil {
		return out.Layer{}, err
	}
	hide = slices.DeleteFunc(hide, func(p string) bool {
		dir, _, _ := strings.Cut(p, "__pycache__")
		return litter(dir + "module.py")
	})
	contents, err := withoutOurs(upper)
	if err != nil {
		return out.Layer{}, err
	}
	return out.Layer{
		Layer: images.Layer{Size: -1}, Tree: upper,
		Pack: &layer.PackOptions{Owners: owners, Epoch: max(epoch, 0), Skip: litter, Hide: hide, Contents: contents},
	}, nil
}

// maxWritten bounds what is listed.
const maxWritten = 20

// sayWritten lists what programs wrote after they had changed their user: with one id it belongs to whoever
// runs the sandbox, and to root in the image, unless they chowned it.
func (m *Manager) sayWritten(in *launch.Instance) {
	upper := filepath.Join(in.Dir, "upper")
	programs, err := owner.Programs(upper)
	if err != nil || len(programs) == 0 {
		return
	}
	written, err := owner.Written(upper, programs)
	if err != nil {
		return
	}
	var paths []string
	for path := range written {
		if path != "" && !litter(path) {
			paths = append(paths, path)
		}
	}
	if slices.Sort(paths); len(paths) == 0 {
		return
	}
	m.notice("written by programs that had changed their user, and root's in the image; chown it inside where that is wrong:")
	for i, path := range paths {
		if i == maxWritten {
			m.notice("  and %d more", len(paths)-i)
			break
		}
		p := programs[written[path]]
		m.notice("  /%s by %s as user %d", path, p.Comm, p.UID)
	}
}
