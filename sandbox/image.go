package sandbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/gpu/compat"
	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// Pull brings an image into the store and remembers it under its name. What else a start needs of it is made, too:
// those who use the store may only be able to read it.
func (m *Manager) Pull(ctx context.Context, ref string) (*images.Image, error) {
	img, layers, err := m.pull(ctx, ref, false)
	if err != nil {
		return nil, err
	}
	st, err := m.Store()
	if err != nil {
		return nil, err
	}
	if _, err := build.ImageLayers(ctx, st, layers, ref, m.limits()); err != nil && !errors.Is(err, store.ErrReadOnly) {
		return nil, err
	}
	return img, nil
}

// pull, with stale, goes on with what is in the store where the registry cannot be reached.
func (m *Manager) pull(ctx context.Context, ref string, stale bool) (*images.Image, []store.Layer, error) {
	im, err := m.imagesWith("", func(o *images.Options) { o.Stale = stale })
	if err != nil {
		return nil, nil, err
	}
	img, err := m.resolve(ctx, im, ref)
	if err != nil {
		return nil, nil, err
	}
	layers, err := im.Pull(ctx, img)
	return img, layers, err
}

// RunImage runs a command in an image, without an env file and without a project; with no command
// the image's own Entrypoint and Cmd.
func (m *Manager) RunImage(ctx context.Context, ref, network string, o RunOptions) (start.Exit, error) {
	if strings.HasPrefix(ref, "deb:") {
		return start.Exit{}, hint.With(fmt.Errorf("--image takes an image; %s is assembled from packages", ref), "write an env file with base = \""+ref+"\": sandbox init --base "+ref)
	}
	if err := m.preflightImage(ctx, ref, o); err != nil {
		return start.Exit{}, err
	}
	exit, err := m.pullAndRun(ctx, ref, network, o)
	var gone *launch.MissingLayer
	if errors.As(err, &gone) { // taken between being found and being marked as used; nothing has run
		m.o.Log.Info("a layer is gone, it is brought again", "path", gone.Path)
		exit, err = m.pullAndRun(ctx, ref, network, o)
	}
	return exit, err
}

func (m *Manager) pullAndRun(ctx context.Context, ref, network string, o RunOptions) (start.Exit, error) {
	img, layers, err := m.pull(ctx, ref, true)
	if err != nil {
		return start.Exit{}, err
	}
	if hex, _ := digits(ref); hex != "" {
		ref = img.Ref
	}
	st, err := m.Store()
	if err != nil {
		return start.Exit{}, err
	}
	env := &build.Env{Digest: string(img.Manifest), Image: img.Config}
	if env.Layers, err = build.ImageLayers(ctx, st, layers, ref, m.limits()); err != nil {
		return start.Exit{}, err
	}
	e, _, err := m.planEnv(env, "image", whoami())
	if err != nil {
		return start.Exit{}, err
	}
	e.Name = imageName(ref)
	e.Shm = int64(m.user.Limits.Shm)
	if network != "" {
		e.Network = network
	}
	if o.Args, err = imageArgs(img.Config, o.Args, ref); err != nil {
		return start.Exit{}, err
	}
	in, err := m.imageInstance(e, o)
	if err != nil {
		return start.Exit{}, err
	}
	state := launch.StateOf(e, "")
	if o.Name != "" { // before the start: one that is cut off can go on and be committed, and gc knows what it stands on
		if err := in.SetState(state); err != nil {
			in.Close()
			return start.Exit{}, err
		}
	}
	exit, err := m.runImage(ctx, e, o, in, &state)
	if o.Name == "" {
		if rerr := in.Remove(); rerr != nil {
			m.o.Log.Debug("sandbox not removed", "dir", in.Dir, "err", rerr)
		}
		return exit, err
	}
	state.Ended = time.Now().UTC()
	if serr := in.SetState(state); err == nil {
		err = serr
	}
	in.Close()
	return exit, err
}

func (m *Manager) imageInstance(e *plan.Env, o RunOptions) (*launch.Instance, error) {
	if o.Name == "" {
		return m.l.New()
	}
	if err := CheckName(o.Name); err != nil {
		return nil, err
	}
	in, err := m.l.Open(o.Name)
	if err != nil {
		return nil, err
	}
	if err := launch.SameEnvironment(in, e, "this image's"); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

func (m *Manager) runImage(ctx context.Context, e *plan.Env, o RunOptions, in *launch.Instance, state *launch.State) (start.Exit, error) {
	host := m.l.Host()
	inputs := plan.Inputs{
		Env: *e, Host: host, Args: o.Args,
		Extra: plan.Extra{Env: o.Env, Mounts: o.Mounts},
		Sandbox: plan.Sandbox{
			Name: o.Name, Upper: filepath.Join(in.Dir, "upper"), Work: filepath.Join(in.Dir, "work"),
			Tmp: filepath.Join(in.Dir, "tmp"), Volatile: o.Name == "",
		},
	}
	need, err := keepNeed(compat.NeedOf(e.ImageEnv, nil, nil))
	if err != nil {
		return start.Exit{}, err
	}
	choice, err := m.l.WithGPU(ctx, launch.GPUWant{Options: o.GPU, Need: need, Digest: e.Digest, Lease: !o.Shell}, &inputs)
	if err != nil {
		return start.Exit{}, err
	}
	defer choice.Release()
	state.GPU = choice.Record
	s, err := m.l.Plan(ctx, inputs, m.user.Stores)
	if err != nil {
		return start.Exit{}, err
	}
	o.Limits = m.user.Limits
	return m.l.Start(ctx, s, o)
}

// imageArgs puts the image's Entrypoint before what the user typed, and its Cmd in place of nothing.
// A command that the user types replaces both, as people who run images by hand expect of `run`.
func imageArgs(c images.Config, args []string, ref string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	args = append(append([]string{}, c.Entrypoint...), c.Cmd...)
	if len(args) == 0 {
		return nil, hint.With(fmt.Errorf("image %s names no command", ref), "sandbox run --image "+ref+" COMMAND")
	}
	return args, nil
}

// imageName is the last word of a reference, for the host name.
func imageName(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	ref = ref[strings.LastIndexByte(ref, '/')+1:]
	ref, _, _ = strings.Cut(ref, ":")
	return ref
}

// Images lists the images that were pulled by name.
func (m *Manager) Images() ([]store.ImageRecord, error) {
	st, err := m.Store()
	if err != nil {
		return nil, err
	}
	return st.Images()
}

// RemoveImage forgets an image's name. What a store of the chain calls so is not ours to forget.
func (m *Manager) RemoveImage(ref string) error {
	found, err := m.called(ref)
	if err != nil {
		return err
	}
	switch len(found) {
	case 0:
	case 1:
		ref = found[0].Ref
	default:
		return fmt.Errorf("%s has %d names; which is to be forgotten? %s", ref, len(found), joined(found))
	}
	r, err := images.ParseRef(ref)
	if err != nil {
		return err
	}
	st, err := m.Store()
	if err != nil {
		return err
	}
	list, err := st.Images()
	if err != nil {
		return err
	}
	for _, i := range list {
		if i.Ref != ref && i.Ref != r.String() {
			continue
		}
		if i.Dir != st.Dir() {
			return hint.With(fmt.Errorf("image %s is in a store that is only read from here: %s", ref, i.Dir), "if that store is yours: SANDBOX_STORE="+i.Dir+" sandbox rmi "+ref)
		}
		if err := st.RemoveImage(i.Ref); err != nil {
			return err
		}
		if below, err := st.Image(i.Ref); err == nil {
			m.notice("%s is now what the store %s calls so: sha256:%s…", ref, below.Dir, below.Manifest.Hex()[:12])
		}
		return nil
	}
	return hint.With(fmt.Errorf("no image %s", ref), "sandbox images lists them")
}
