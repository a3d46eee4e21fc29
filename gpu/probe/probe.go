package probe

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/4cc2e759/sandbox/gpu"
)

// NoHelper as [Options.Helper] asks procfs alone.
const NoHelper = "none"

// defaultTimeout is enough for NVML on a machine whose GPUs sleep between uses, which takes seconds.
const defaultTimeout = 5 * time.Second

// Options steer [Probe]; the zero value probes this machine.
type Options struct {
	Roots   gpu.Roots     // zero: those of the host
	Helper  string        // path of sandbox-gpu-probe; "": FindHelper; NoHelper: do not ask NVML
	Timeout time.Duration // for the child; 0: 5 s
	Environ []string      // where FindHelper looks for HelperVar and PATH; nil: this process's. None of it reaches the child
	Problem func(error)   // gets each problem that is only a warning, typed
	Log     *slog.Logger

	DriverRoot string // a folder below Roots.FS with a driver's files, looked at before the usual ones
}

// Probe says what the machine has. Without any driver that is an inventory with Source "none" and no
// error. Errors are *[MismatchError], *[PermissionError], *[NoNodeError], *[NoUVMError] and *[NVMLError],
// or that of ctx.
// It changes nothing on the machine, but for what NVML does when root asks it: make missing device nodes.
func Probe(ctx context.Context, o Options) (gpu.Inventory, error) {
	if o.Roots == (gpu.Roots{}) {
		o.Roots = gpu.HostRoots()
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &probing{Options: o}
	if !Present(o.Roots) {
		p.inv = gpu.Inventory{Source: "none"}
		for _, bdf := range hardware(o.Roots) {
			p.warn(&NoDriverError{BDF: bdf})
		}
		return p.inv, nil
	}
	p.wsl = isWSL(o.Roots)
	p.module, p.open = Module(o.Roots)
	p.procfs = fromProcfs(o.Roots)
	err := p.ask(ctx)
	if ctx.Err() != nil {
		return p.inv, ctx.Err()
	}
	p.complete()
	return p.inv, p.judge(err)
}

// probing is one run of Probe.
type probing struct {
	Options
	wsl    bool
	module string
	open   bool
	procfs []gpu.Device
	inv    gpu.Inventory
}

func (p *probing) warn(err error) {
	p.inv.Warnings = append(p.inv.Warnings, err.Error())
	p.Log.Warn("gpu", "problem", err)
	if p.Problem != nil {
		p.Problem(err)
	}
}

// ask sets the inventory to what NVML says, or else to what procfs has. An error is NVML's refusal.
func (p *probing) ask(ctx context.Context) error {
	inv, err := p.askNVML(ctx)
	if err == nil {
		p.inv = inv
		if p.wsl {
			p.inv.Source = "wsl"
		}
		return nil
	}
	p.inv = gpu.Inventory{Source: "procfs", Devices: p.procfs}
	if p.wsl {
		p.inv = gpu.Inventory{Source: "wsl"}
	}
	var refused *NVMLError
	if errors.As(err, &refused) && refused.Code != codeNoLibrary {
		return refused
	}
	if p.Helper == NoHelper {
		return nil // as it was asked for
	}
	if ctx.Err() == nil {
		p.warn(err)
	}
	return nil
}

func (p *probing) askNVML(ctx context.Context) (gpu.Inventory, error) {
	helper := p.Helper
	if helper == "" {
		helper = FindHelper(p.Environ)
	}
	if helper == "" || helper == NoHelper {
		return gpu.Inventory{}, &NoHelperError{WSL: p.wsl}
	}
	library := Library(p.Roots, p.module, p.DriverRoot)
	var args []string
	if library != "" {
		args = []string{"--library", library}
	}
	start := time.Now()
	out, err := runChild(ctx, helper, args, childEnv(p.wsl, library), p.Timeout)
	p.Log.Debug("gpu probe", "helper", helper, "library", library, "took", time.Since(start), "err", err)
	if err != nil {
		return gpu.Inventory{}, err
	}
	return decode(helper, out)
}

// complete adds what files say to what NVML said.
func (p *probing) complete() {
	p.inv.Module, p.inv.Open = p.module, p.open
	if p.inv.Driver == "" && len(p.inv.Devices) > 0 {
		p.inv.Driver = libraryVersion(p.Roots, p.module, p.DriverRoot)
	}
	adopt(p.inv.Devices, p.procfs)
	for i := range p.inv.Devices {
		d := &p.inv.Devices[i]
		d.NUMA = numa(p.Roots, d.BDF)
		for j := range d.Processes {
			d.Processes[j].Name = comm(p.Roots, d.Processes[j].PID)
		}
		if sliced(p.Roots, d.Minor) && !d.MIGMode && p.inv.Source == "procfs" {
			d.MIGMode = true
			p.warn(&SlicedError{Index: d.Index, BDF: d.BDF})
		}
	}
}

// adopt gives GPUs that NVML lost the names that procfs has for them. Both count in the order of PCI
// addresses, so places fit if the numbers do.
func adopt(devices, procfs []gpu.Device) {
	if len(devices) != len(procfs) {
		return
	}
	for i, d := range devices {
		if d.BDF != "" && d.BDF != procfs[i].BDF {
			return
		}
	}
	for i := range devices {
		d, f := &devices[i], procfs[i]
		if d.BDF == "" {
			d.BDF, d.Minor = f.BDF, f.Minor
		}
		if d.UUID == "" {
			d.UUID = f.UUID
		}
		if d.Name == "" {
			d.Name = f.Name
		}
	}
}

// judge turns NVML's refusal, and what the nodes look like, into the error that helps most.
func (p *probing) judge(refused error) error {
	denied := p.nodes()
	var code int
	var e *NVMLError
	if errors.As(refused, &e) {
		code = e.Code
	}
	switch {
	case code == codeMismatch:
		return &MismatchError{Module: p.module, Library: libraryVersion(p.Roots, p.module, p.DriverRoot)}
	case refused == nil && p.inv.Source == "procfs" && p.module != "":
		// Nobody has tried whether they fit, so the names of the files decide.
		if lib := libraryVersion(p.Roots, p.module, p.DriverRoot); lib != "" && lib != p.module {
			return &MismatchError{Module: p.module, Library: lib}
		}
	}
	if denied != nil {
		return denied
	}
	if refused != nil {
		return refused
	}
	for _, d := range p.inv.Devices {
		if d.Error == lostText {
			p.warn(&LostError{Index: d.Index, BDF: d.BDF})
		}
	}
	return nil
}
