package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/compat"
	"github.com/4cc2e759/sandbox/gpu/driver"
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
	n := compat.NeedOf(env, pins, wheels)
	n.Glibc = lockedGlibc(sec.Debs)
	return n
}

// lockedGlibc is the C library that the lock's packages bring: every deb: base has one. Zero where it is an
// image's own, which no registry describes.
func lockedGlibc(debs []envfile.DebPin) (glibc [2]int) {
	for _, d := range debs {
		if d.Name != "libc6" {
			continue
		}
		version := d.Version
		if _, rest, ok := strings.Cut(version, ":"); ok { // an epoch
			version = rest
		}
		var v [2]int
		if n, _ := fmt.Sscanf(version, "%d.%d", &v[0], &v[1]); n == 2 { // "2.41-12+deb13u1"
			glibc = v
		}
	}
	return glibc
}

// withDriver adds what the driver's libcuda asks of a C library that is known.
func (m *Manager) withDriver(n compat.Need, inv gpu.Inventory) compat.Need {
	if n.Glibc == [2]int{} {
		return n
	}
	set, err := driver.Discover(m.GPURoots(), driver.Options{DriverRoot: m.o.Environ[driverRootVar], Version: driverVersion(inv), Caps: []gpu.Capability{gpu.Compute}})
	if err != nil {
		return n // the start says it, with what helps
	}
	for _, f := range set.Files {
		if strings.HasPrefix(f.Name, "libcuda.so.") && f.Class == 64 {
			n.DriverGlibc, n.DriverFile = [2]int(f.Glibc[:2]), f.Name
		}
	}
	return n
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
