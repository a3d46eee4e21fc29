package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/gpu/compat"
	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// needOf is what an environment asks of driver and GPU, from its lock, or where there is none from what
// the env file claims, and from the image's configuration. No layer is fetched for it.
func (p *Project) needOf(ctx context.Context) (compat.Need, error) {
	f, err := p.File()
	if err != nil {
		return compat.Need{}, err
	}
	if p.l.LockSrc == nil {
		env, err := p.claimedImage(ctx, f)
		return compat.NeedOf(env, claimed(f), nil), err
	}
	lock, err := envfile.ReadLock(LockName, p.l.LockSrc)
	if err != nil {
		return compat.Need{}, err
	}
	sec := lock.Sections[p.section(f)]
	if sec == nil {
		return compat.NeedOf(nil, claimed(f), nil), nil
	}
	b, err := p.m.builder(p)
	if err != nil {
		return compat.Need{}, err
	}
	env, err := b.BaseEnv(ctx, sec)
	if err != nil {
		return compat.Need{}, err
	}
	return lockedNeed(sec, env), nil
}

// claimed are the pins of the env file that are versions: "auto" says nothing yet.
func claimed(f *envfile.File) map[string]string {
	out := map[string]string{}
	for name, v := range f.Toolchain {
		v = strings.TrimPrefix(v, "==")
		if v != "" && v[0] >= '0' && v[0] <= '9' && !strings.ContainsAny(v, "<>,*") {
			out[name] = v
		}
	}
	return out
}

// lockedNeed reads a lock's section.
func lockedNeed(sec *envfile.Section, env []string) compat.Need {
	pins := map[string]string{}
	for name, t := range sec.Toolchain {
		pins[name] = t.Version
	}
	for _, name := range []string{"pytorch", "tensorflow", "jax"} {
		t, ok := sec.Toolchain[name]
		if !ok {
			continue
		}
		pins[name+".from"] = t.From
		for _, fact := range []string{"cuda", "cudnn", "driver", "compute"} {
			if v := t.Facts[fact]; v != "" && pins[fact] == "" {
				pins[fact] = v
			}
		}
	}
	var wheels []compat.Wheel
	for _, w := range sec.Wheels {
		wheels = append(wheels, compat.Wheel{Name: w.Name, Version: w.Version, File: w.File})
	}
	return compat.NeedOf(env, pins, wheels)
}

// claimedImage is the environment of the base's image as its registry describes it.
func (p *Project) claimedImage(ctx context.Context, f *envfile.File) ([]string, error) {
	base := f.Image.Base
	if base == "" || strings.HasPrefix(base, "deb:") || strings.HasPrefix(base, "dir:") {
		return nil, nil
	}
	r, err := images.ParseRef(base)
	if err != nil {
		return nil, err
	}
	im, err := p.m.images(p.Dir)
	if err != nil {
		return nil, err
	}
	img, err := im.Resolve(ctx, r, build.Platform())
	if err != nil {
		return nil, err
	}
	return img.Config.Env, nil
}

// gpuWant is what a run of o asks for, before anything of the environment is there.
func (p *Project) gpuWant(o RunOptions) (launch.GPUWant, error) {
	f, err := p.File()
	if err != nil {
		return launch.GPUWant{}, err
	}
	w := launch.GPUWant{Options: o.GPU, Terms: f.GPU}
	if len(o.Args) > 0 && !o.Command && !o.Shell {
		if t, ok := f.Tasks[o.Args[0]]; ok && t.GPU != nil {
			w.Terms = *t.GPU
		}
	}
	return w, nil
}

// keepNeed is a need as a kept plan has it.
func keepNeed(n compat.Need) (json.RawMessage, error) {
	if !n.Any() {
		return nil, nil
	}
	b, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("gpu needs: %w", err)
	}
	return b, nil
}
