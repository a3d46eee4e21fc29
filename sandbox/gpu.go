package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/cdi"
	"github.com/4cc2e759/sandbox/gpu/compat"
	"github.com/4cc2e759/sandbox/gpu/lease"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// NoGPUError says that a GPU is required and that this machine has none, or none that can be seen.
type NoGPUError struct {
	Source string
	Why    error // why none can be seen; nil: there is none
}

func (e *NoGPUError) Error() string {
	if e.Why != nil {
		return fmt.Sprintf("%s asks for a GPU, and none can be seen here: %v", e.Source, e.Why)
	}
	return fmt.Sprintf("%s asks for a GPU, and this machine has none", e.Source)
}

// Unwrap gives the reason, which has a hint of its own.
func (e *NoGPUError) Unwrap() error { return e.Why }

// Hint implements hint.Hinter.
func (e *NoGPUError) Hint() string {
	return "sandbox gpu list shows what is seen here; --gpus none runs on the processor"
}

// NeedProblems are the reasons why an environment cannot work on the GPUs here.
type NeedProblems struct {
	Problems []compat.Problem
	Device   string
}

func (e *NeedProblems) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.Text)
	}
	return strings.Join(lines, "\n       ")
}

// Unwrap gives the ways that work here, then how to insist, as hints.
func (e *NeedProblems) Unwrap() []error {
	var out []error
	for _, p := range e.Problems {
		for _, w := range p.Ways {
			out = append(out, hint.With(errWay, "works here: "+w))
		}
	}
	return append(out, hint.With(errWay, "--skip-checks starts it nevertheless"))
}

var errWay = errors.New("a way that works here")

// chooseGPU is launch.Launcher.GPU: devices of CDI, and the GPUs that the request gets, if any.
func (m *Manager) chooseGPU(ctx context.Context, w launch.GPUWant, in plan.Inputs) (*launch.GPUChoice, error) {
	g := &plan.GPU{Env: map[string]string{}, Force: map[string]string{}}
	c := &launch.GPUChoice{Release: func() {}}
	edits, err := m.addDevices(w, g)
	if err != nil {
		return nil, err
	}
	r, err := gpuRequest(w, in.Env.ImageEnv)
	if err != nil {
		return nil, err
	}
	stack := layer.NewStack(lowerPaths(in.Env.Lowers))
	defer stack.Close()
	var a additions
	if r.Wants() {
		rec, release, err := m.addGPUs(ctx, w, r, in, g, &a, stack)
		if err != nil {
			if !r.Optional || ctx.Err() != nil {
				return nil, err
			}
			why := onProcessor(err).Error()
			rec, release = &GPURecord{Request: r.String(), Source: r.Source, Processor: why}, c.Release
			m.notice("runs on the processor: %s", why)
		}
		c.Release, c.Record = release, rec.json()
	}
	if err := m.addAbove(edits, in, g, &a, stack); err != nil {
		c.Release()
		return nil, err
	}
	if len(g.Ops) > 0 || len(g.Env) > 0 || g.Lower != "" {
		c.Plan = g
	}
	return c, nil
}

// addAbove makes the layer above the image's.
func (m *Manager) addAbove(edits *cdi.Edits, in plan.Inputs, g *plan.GPU, a *additions, stack *layer.Stack) error {
	if edits != nil {
		if err := m.addLibraries(edits, in, g, a, stack); err != nil {
			return err
		}
	}
	if len(a.files)+len(a.links) == 0 {
		return nil
	}
	dir, err := m.addedLayer("9b", *a, stack)
	g.Lower = dir
	if err != nil && edits != nil {
		return fmt.Errorf("device %s: %w", strings.Join(edits.Devices, ", "), err)
	}
	return err
}

func lowerPaths(lowers []spec.Lower) []string {
	out := make([]string, len(lowers))
	for i, l := range lowers {
		out[i] = l.Path
	}
	return out
}

// addGPUs selects, checks, leases and adds what goes inside.
func (m *Manager) addGPUs(ctx context.Context, w launch.GPUWant, r gpu.Request, in plan.Inputs, g *plan.GPU, a *additions, stack *layer.Stack) (*GPURecord, func(), error) {
	inv, err := m.GPUs(ctx)
	if err != nil {
		return nil, nil, err
	}
	if len(inv.Devices) == 0 {
		return nil, nil, m.noGPU(r, inv)
	}
	m.sayUnknown()
	var need compat.Need
	if len(w.Need) > 0 && json.Unmarshal(w.Need, &need) != nil {
		return nil, nil, errors.New("a kept plan has needs that cannot be read")
	}
	fit := inv
	if !w.Options.SkipChecks {
		if fit, err = m.fitting(need, inv); err != nil {
			return nil, nil, err
		}
	}
	picks, l, err := m.takeGPUs(ctx, w, r, fit)
	if err != nil {
		return nil, nil, err
	}
	i, err := m.injection(ctx, w, r, inv, picks, in, g, stack)
	if err == nil {
		err = m.addInjection(i, g, a)
	}
	if err != nil {
		l.Close()
		return nil, nil, err
	}
	return m.recordOf(w, r, inv, picks, need, i), func() { l.Close() }, nil
}

// fitting marks the GPUs that the environment's programs cannot use. If none is left it says why, too.
func (m *Manager) fitting(need compat.Need, inv gpu.Inventory) (gpu.Inventory, error) {
	if !need.Any() {
		return inv, nil
	}
	out := inv
	out.Devices = nil
	var first *NeedProblems
	left := 0
	for _, d := range inv.Devices {
		problems := compat.Blocking(compat.Check(need, inv, gpu.Pick{Device: d}))
		if len(problems) > 0 && d.Error == "" {
			if first == nil {
				first = &NeedProblems{problems, d.Name}
			}
			d.Error = problems[0].Text
		} else if d.Error == "" {
			left++
		}
		out.Devices = append(out.Devices, d)
	}
	if left == 0 && first != nil {
		return out, first
	}
	return out, nil
}

// takeGPUs selects, and leases where this is a run.
func (m *Manager) takeGPUs(ctx context.Context, w launch.GPUWant, r gpu.Request, inv gpu.Inventory) ([]gpu.Pick, io.Closer, error) {
	roots, dir := m.GPURoots(), m.leaseDir()
	if !w.Lease {
		so, err := m.selectOptions(r, inv)
		if err != nil {
			return nil, nil, err
		}
		so.Held = nil // an idle shell takes nothing from anybody, so nobody's lease is in its way
		so.Mine = func(gpu.Process) bool { return true }
		picks, err := r.Select(inv, so)
		return picks, nopCloser{}, err
	}
	again := func(ctx context.Context) (gpu.Inventory, error) {
		now, err := m.freshGPUs(ctx)
		for i, d := range now.Devices { // what the checks have found of each
			for _, was := range inv.Devices {
				if was.ID() == d.ID() && d.Error == "" {
					now.Devices[i].Error = was.Error
				}
			}
		}
		return now, err
	}
	picks, l, err := lease.Take(ctx, r, again, lease.Options{
		Roots: roots, Dir: dir, Allowed: m.allowed, Notice: func(text string) { m.notice("%s", text) },
	})
	if err != nil {
		return nil, nil, err
	}
	return picks, l, nil
}

// selectOptions are what surrounds a choice here and now.
func (m *Manager) selectOptions(r gpu.Request, inv gpu.Inventory) (gpu.SelectOptions, error) {
	allowed, job, err := m.allowed(inv)
	return gpu.SelectOptions{Allowed: allowed, InJob: job, Held: lease.Held(m.GPURoots(), m.leaseDir(), inv, r.Share)}, err
}

func (m *Manager) outside() gpu.Outside {
	host, _ := os.Hostname()
	return gpu.Outside{Environ: m.o.Environ, Host: host, ReadFile: func(p string) ([]byte, error) {
		f, err := os.Open(p)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, 1<<20))
	}}
}

type nopCloser struct{}

func (nopCloser) Close() error { return nil }

// leaseDir is this user's folder for leases of what the kernel has no file for.
func (m *Manager) leaseDir() string {
	return lease.Dir(m.o.Environ, filepath.Join(m.StoreDir(), "locks", "gpu"))
}

// GPULeases says of each GPU, or slice, that a run has taken who has it, by UUID.
func (m *Manager) GPULeases(inv gpu.Inventory) map[string]string {
	out := map[string]string{}
	held := lease.Held(m.GPURoots(), m.leaseDir(), inv, false)
	look := func(id string) {
		if by, yes := held(id); yes {
			out[id] = by
		}
	}
	for _, d := range inv.Devices {
		if len(d.MIG) == 0 {
			look(d.ID())
		}
		for _, s := range d.MIG {
			look(s.UUID)
		}
	}
	return out
}

func environList(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// onProcessor is err as the reason for going on without.
func onProcessor(err error) error {
	var none *NoGPUError
	if errors.As(err, &none) && none.Why == nil {
		return errors.New("this machine has no GPU")
	}
	return err
}
