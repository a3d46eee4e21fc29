package sandbox

import (
	"context"
	"runtime"
	"strings"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// builder joins the parts that locks and layers are made with.
func (m *Manager) builder(p *Project) (*build.Builder, error) {
	f, err := p.File()
	if err != nil {
		return nil, err
	}
	st, err := m.Store()
	if err != nil {
		return nil, err
	}
	im, err := m.images(p.Dir)
	if err != nil {
		return nil, err
	}
	return &build.Builder{
		Store: st, Images: im, Fetch: m.fetcher(), User: m.user, File: f, Dir: p.Dir,
		Environ: m.o.Environ, Offline: m.o.Offline, Limits: m.limits(), Report: m.o.Report, Notice: m.o.Notice, Log: m.o.Log,
		Consent: func() error { return p.l.ConsentToNetwork(f.Wants().Digest(), f.Wants().String()) },
	}, nil
}

// fetcher downloads what is checked by hash: package mirrors may speak plain http.
func (m *Manager) fetcher() *fetch.Client {
	return fetch.New(fetch.Options{UserAgent: m.userAgent(), Log: m.o.Log, AllowHTTP: true})
}

func (m *Manager) userAgent() string { return "sandbox/" + strings.Fields(m.o.Version + " dev")[0] }

// limits are those of the user's configuration; what it does not set is package layer's default.
func (m *Manager) limits() layer.Limits {
	l := m.user.Layers
	return layer.Limits{Entries: l.Entries, Bytes: int64(l.Size), Ratio: int64(l.Ratio), Memory: int64(l.Memory)}
}

// images is the way to registries and archives; relative paths are below dir.
func (m *Manager) images(dir string) (*images.Images, error) {
	return m.imagesWith(dir, func(*images.Options) {})
}

func (m *Manager) imagesWith(dir string, change func(*images.Options)) (*images.Images, error) {
	st, err := m.Store()
	if err != nil {
		return nil, err
	}
	o := images.Options{
		Log: m.o.Log, Report: m.o.Report, Jobs: max(2, runtime.NumCPU()), Dir: dir,
		Mirrors: map[string][]string{}, CA: map[string]string{}, UserAgent: m.userAgent(), Offline: m.o.Offline,
		Limits: m.limits(), Notice: m.o.Notice,
	}
	insecure := map[string]bool{}
	for host, r := range m.user.Registry {
		o.Mirrors[host] = r.Mirrors
		if r.CA != "" {
			o.CA[host] = r.CA
		}
		insecure[host] = r.Insecure
	}
	all := m.o.AllowHTTP
	o.Insecure = func(host string) bool { return all || insecure[host] }
	change(&o)
	return images.New(st, o), nil
}

// Plan is what a run would execute, without running it. Its writable layer has no folder yet.
func (p *Project) Plan(ctx context.Context, o RunOptions) (*spec.Spec, error) {
	c, err := p.readyFor(ctx, o)
	if err != nil {
		return nil, err
	}
	workdir := ""
	if len(o.Args) == 0 {
		o.Args = shellArgs(c)
	} else if t, ok := c.Tasks[o.Args[0]]; ok && !o.Command {
		tc := *c
		tc.Env = launch.WithTask(c.Env, t)
		workdir = t.Task.Workdir
		if t.Task.GPU != nil {
			tc.GPU = *t.Task.GPU
		}
		o.Args = t.Task.Run.Argv(o.Args[0], o.Args[1:])
		c = &tc
	}
	in, err := p.l.Inputs(c, o, workdir, &launch.Instance{Dir: p.m.l.Sandboxes() + "/NEW"}, false)
	if err != nil {
		return nil, err
	}
	want := p.l.GPUWant(c, o)
	want.Lease = false
	choice, err := p.m.l.WithGPU(ctx, want, &in)
	if err != nil {
		return nil, err
	}
	defer choice.Release()
	return p.m.l.Plan(ctx, in, c.Stores)
}
