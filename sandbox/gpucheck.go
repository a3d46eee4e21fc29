package sandbox

import (
	"context"
	"errors"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/compat"
	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// preflight refuses, before anything is fetched or locked, what cannot work on the GPUs here.
func (p *Project) preflight(ctx context.Context, o RunOptions) error {
	w, err := p.gpuWant(o)
	if err != nil {
		return err
	}
	r, err := gpuRequest(w, nil)
	if err != nil || !r.Wants() || r.Optional {
		return err
	}
	return p.m.canRun(ctx, r, o.GPU, p.needOf)
}

// preflightImage is preflight for an image without an env file.
func (m *Manager) preflightImage(ctx context.Context, ref string, o RunOptions) error {
	r, err := gpuRequest(launch.GPUWant{Options: o.GPU}, nil)
	if err != nil || !r.Wants() {
		return err
	}
	return m.canRun(ctx, r, o.GPU, func(ctx context.Context) (compat.Need, error) { return m.needOfImage(ctx, ref) })
}

// canRun holds a request, and then a need, against this machine. The request comes first: it needs no
// registry.
func (m *Manager) canRun(ctx context.Context, r gpu.Request, o GPUOptions, need func(context.Context) (compat.Need, error)) error {
	inv, err := m.GPUs(ctx)
	if err != nil {
		return err
	}
	if len(inv.Devices) == 0 {
		return m.noGPU(r, inv)
	}
	m.sayUnknown()
	if err := m.selectable(r, inv); err != nil || o.SkipChecks {
		return err
	}
	n, err := need(ctx)
	if err != nil {
		return err
	}
	if !o.Force {
		n = m.withDriver(n, inv)
	}
	if inv, err = m.fitting(n, inv); err != nil {
		return err
	}
	return m.selectable(r, inv)
}

// selectable refuses a request that this machine can never meet. Who uses its GPUs now does not count:
// they may be free when everything is built.
func (m *Manager) selectable(r gpu.Request, inv gpu.Inventory) error {
	allowed, job, err := m.allowed(inv)
	if err != nil {
		return err
	}
	_, err = r.Select(inv, gpu.SelectOptions{Allowed: allowed, InJob: job, Mine: func(gpu.Process) bool { return true }})
	if errors.As(err, new(*gpu.HeldError)) {
		return nil
	}
	return err
}

// allowed is the outer limit of a choice; what is doubtful about it is said.
func (m *Manager) allowed(inv gpu.Inventory) (*gpu.Allowed, bool, error) {
	a, job, err := m.outside().Allowed(inv)
	if a != nil && a.Note != "" {
		m.noticeOnce("warning: " + a.Note)
	}
	return a, job, err
}

// GPUCheck is the answer of `sandbox gpu check`.
type GPUCheck struct {
	Need     compat.Need      `json:"need"`
	Request  string           `json:"request,omitempty"` // what the env file asks for; "" for no GPU
	Machine  gpu.Inventory    `json:"machine"`
	Problems []compat.Problem `json:"problems"`
	Refused  string           `json:"refused,omitempty"` // why no GPU here meets the request

	Refusal error `json:"-"` // the same, with what helps
}

// Works tells whether nothing is in the way.
func (c *GPUCheck) Works() bool {
	return c.Usable() > 0 && len(compat.Blocking(c.Problems)) == 0 && c.Refusal == nil
}

// Usable counts the GPUs that programs can use.
func (c *GPUCheck) Usable() int {
	n := 0
	for _, d := range c.Machine.Devices {
		if d.Error == "" {
			n++
		}
	}
	return n
}

// CheckGPU holds the project's environment, and what its env file asks for, against this machine; nothing
// is fetched but what registries say of the base.
func (p *Project) CheckGPU(ctx context.Context) (*GPUCheck, error) {
	w, err := p.gpuWant(RunOptions{})
	if err != nil {
		return nil, err
	}
	r, err := gpuRequest(w, nil)
	if err != nil {
		return nil, err
	}
	need, err := p.needOf(ctx)
	if err != nil {
		return nil, err
	}
	return p.m.checkGPU(ctx, r, need)
}

// CheckImageGPU does the same for an image.
func (m *Manager) CheckImageGPU(ctx context.Context, ref string) (*GPUCheck, error) {
	need, err := m.needOfImage(ctx, ref)
	if err != nil {
		return nil, err
	}
	return m.checkGPU(ctx, gpu.Request{}, need)
}

// needOfImage is what an image's configuration asks for.
func (m *Manager) needOfImage(ctx context.Context, ref string) (compat.Need, error) {
	im, err := m.imagesWith("", func(o *images.Options) { o.Stale = true })
	if err != nil {
		return compat.Need{}, err
	}
	img, err := m.resolve(ctx, im, ref)
	if err != nil {
		return compat.Need{}, err
	}
	return compat.NeedOf(img.Config.Env, nil, nil), nil
}

func (m *Manager) checkGPU(ctx context.Context, r gpu.Request, need compat.Need) (*GPUCheck, error) {
	inv, err := m.GPUs(ctx)
	if err != nil {
		return nil, err
	}
	m.sayUnknown()
	need = m.withDriver(need, inv)
	c := &GPUCheck{Need: need, Machine: inv, Problems: compat.Check(need, inv)}
	if !r.Wants() {
		return c, nil
	}
	c.Request = r.String()
	if len(inv.Devices) == 0 {
		c.Refusal = m.noGPU(r, inv)
	} else if c.Refusal = m.selectable(r, inv); c.Refusal == nil {
		// Those that the programs cannot use do not count; if it is all of them, the problems say so.
		if marked, err := m.fitting(need, inv); err == nil {
			c.Refusal = m.selectable(r, marked)
		}
	}
	if c.Refusal != nil {
		c.Refused = c.Refusal.Error()
	}
	return c, nil
}

// WhyGPUs says of each GPU whether a run would get it, and why not. The reasons come with an error, too.
func (m *Manager) WhyGPUs(ctx context.Context, p *Project, o RunOptions) (gpu.Request, []gpu.Reason, error) {
	w := launch.GPUWant{Options: o.GPU}
	if p != nil {
		var err error
		if w, err = p.gpuWant(o); err != nil {
			return gpu.Request{}, nil, err
		}
	}
	r, err := gpuRequest(w, nil)
	if err != nil {
		return r, nil, err
	}
	inv, err := m.GPUs(ctx)
	if err != nil {
		return r, nil, err
	}
	if len(inv.Devices) == 0 && r.Wants() {
		return r, nil, m.noGPU(r, inv)
	}
	m.sayUnknown()
	var unfit error
	if p != nil && !o.GPU.SkipChecks {
		need, err := p.needOf(ctx)
		if err != nil {
			return r, nil, err
		}
		inv, unfit = m.fitting(m.withDriver(need, inv), inv)
	}
	so, err := m.selectOptions(r, inv)
	if err != nil {
		return r, nil, err
	}
	_, err = r.Select(inv, so)
	if unfit != nil && r.Wants() {
		err = unfit // why none is left, with what works here
	}
	return r, gpu.Explain(r, inv, so), err
}
