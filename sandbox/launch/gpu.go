package launch

import (
	"context"
	"encoding/json"

	"github.com/4cc2e759/sandbox/envfile/terms"
	"github.com/4cc2e759/sandbox/sandbox/plan"
)

// GPUOptions is what the command line says about GPUs and other devices.
type GPUOptions struct {
	GPUs       []string // --gpus, each a selection; several are joined
	Devices    []string // --device: names of CDI devices
	Compat     string   // --cuda-compat: "auto", "on" or "off"
	SkipChecks bool     // what does not fit is said, not refused
	Force      bool     // --force-gpu: also into an image whose C library is not the driver's
}

// GPUWant is what one start asks for.
type GPUWant struct {
	Options GPUOptions
	Terms   terms.GPU       // [gpu], a task's over it
	CDI     []string        // [devices] cdi
	IB      bool            // [devices] infiniband = "auto"
	Need    json.RawMessage // what the environment needs of a driver, as the engine has kept it
	Digest  string          // of the environment, with what keeps strangers apart
	Lease   bool            // take them for oneself: a run does, an idle shell does not
}

// GPUChoice is what a start gets. Release gives leases back, after the program has ended.
type GPUChoice struct {
	Plan    *plan.GPU // nil: it goes on without
	Release func()
	Record  json.RawMessage // what a kept sandbox remembers of it; nil where none was asked for
}

// wantsGPU tells whether anything of this has to be looked at; it costs nothing where not.
func wantsGPU(w GPUWant) bool {
	return len(w.Options.GPUs) > 0 || len(w.Options.Devices) > 0 || len(w.CDI) > 0 || w.IB || w.Terms.Need == "optional" || w.Terms.Need == "required"
}

// GPUWant joins the environment's wishes and the command line's.
func (p *Project) GPUWant(c *Compiled, o RunOptions) GPUWant {
	return GPUWant{Options: o.GPU, Terms: c.GPU, CDI: c.CDI, IB: c.InfiniBand, Need: c.GPUNeed, Digest: c.Env.Digest + p.CacheScope, Lease: !o.Shell}
}

// WithGPU adds what w wants to the inputs of a plan. Without the means to choose it is ErrEngine.
func (l *Launcher) WithGPU(ctx context.Context, w GPUWant, in *plan.Inputs) (*GPUChoice, error) {
	if !wantsGPU(w) {
		return &GPUChoice{Release: func() {}}, nil
	}
	if l.GPU == nil {
		return nil, ErrEngine
	}
	choice, err := l.GPU(ctx, w, *in)
	if err != nil {
		return nil, err
	}
	in.GPU = choice.Plan
	return choice, nil
}
