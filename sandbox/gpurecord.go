package sandbox

import (
	"encoding/json"
	"slices"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/compat"
	"github.com/4cc2e759/sandbox/gpu/inject"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// GPURecord is what one start got, and why. A kept sandbox remembers that of its last one, in state.json.
type GPURecord struct {
	Request    string           `json:"request"` // as --gpus reads it
	Source     string           `json:"source"`  // where it is written
	GPUs       []GPUUsed        `json:"gpus,omitempty"`
	Driver     *inject.Record   `json:"driver,omitempty"`
	Overridden []compat.Problem `json:"overridden,omitempty"` // that --skip-checks passed over, of these GPUs
	Forced     bool             `json:"forced,omitempty"`     // --force-gpu
	Processor  string           `json:"processor,omitempty"`  // why it got none, where one was only welcome
}

// GPUUsed is one GPU, or one slice.
type GPUUsed struct {
	UUID   string `json:"uuid"`
	BDF    string `json:"bdf"`
	Name   string `json:"name"`
	CC     gpu.CC `json:"cc"`     // compute capability; zero if not known
	Memory uint64 `json:"memory"` // bytes, of the slice if it is one; 0 if not known
	MIG    string `json:"mig,omitempty"`
	ECC    bool   `json:"ecc,omitempty"`
	Mode   string `json:"compute_mode,omitempty"`
	Why    string `json:"why"`
}

func used(p gpu.Pick) GPUUsed {
	u := GPUUsed{UUID: p.ID(), BDF: p.Device.BDF, Name: p.Device.Name, CC: p.Device.CC, Memory: p.Device.Memory.Total, ECC: p.Device.ECC, Mode: p.Device.ComputeMode, Why: p.Why}
	if p.MIG != nil {
		u.MIG, u.Memory = p.MIG.Profile, p.MIG.Memory.Total
	}
	return u
}

// recordOf is the record of a start that got picks. What --skip-checks passes over is said, too.
func (m *Manager) recordOf(w launch.GPUWant, r gpu.Request, inv gpu.Inventory, picks []gpu.Pick, need compat.Need, i *inject.Injection) *GPURecord {
	rec := &GPURecord{Request: r.String(), Source: r.Source, Driver: &i.Record, Forced: w.Options.Force}
	for _, p := range picks {
		rec.GPUs = append(rec.GPUs, used(p))
	}
	if w.Options.SkipChecks && need.Any() {
		rec.Overridden = compat.Blocking(compat.Check(need, inv, slices.Clone(picks)...))
		for _, p := range rec.Overridden {
			m.noticeOnce("--skip-checks passes over: " + p.Text)
		}
	}
	return rec
}

// json is the record as a sandbox's state keeps it.
func (r *GPURecord) json() json.RawMessage {
	b, err := json.Marshal(r)
	if err != nil {
		return nil // it is plain data
	}
	return b
}
