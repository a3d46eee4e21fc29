package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver"
	"github.com/4cc2e759/sandbox/gpu/inject"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/internal/smallfile"
	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// injection finds the driver and says what goes inside with the picks.
func (m *Manager) injection(ctx context.Context, w launch.GPUWant, r gpu.Request, inv gpu.Inventory, picks []gpu.Pick, in plan.Inputs, g *plan.GPU, stack *layer.Stack) (*inject.Injection, error) {
	roots, caps := m.GPURoots(), r.Capabilities()
	set, err := driver.Discover(roots, driver.Options{DriverRoot: m.o.Environ[driverRootVar], Version: driverVersion(inv), Caps: caps, Environ: m.o.Environ})
	if err != nil {
		return nil, err
	}
	in.GPU = g // what devices set counts as the image's
	inputs := inject.Inputs{
		Roots: roots, Inventory: inv, Picks: picks, Set: set, Caps: caps, Image: *imageOf(stack, in), OwnCache: ownCache(in),
		Environ: m.o.Environ, EnvDigest: w.Digest, CompatMode: w.Options.Compat, Force: w.Options.Force,
	}
	facts := m.imageFacts(in.Env.Lowers, &inputs.Image)
	inputs.Facts = &facts
	i, err := inject.Plan(inputs)
	var missing *inject.NodeError
	if errors.As(err, &missing) && missing.Missing && modprobe(ctx, minorsOf(picks)) {
		i, err = inject.Plan(inputs)
	}
	if err != nil {
		return nil, err
	}
	for _, n := range append(set.Notes, i.Notes...) {
		m.o.Log.Info("gpu", "note", n)
	}
	return i, nil
}

// minorsOf are the numbers of the nodes that picks have of their own.
func minorsOf(picks []gpu.Pick) []int {
	var out []int
	for _, p := range picks {
		if p.Device.Minor >= 0 {
			out = append(out, p.Device.Minor)
		}
	}
	return out
}

// driverRootVar names the variable with the folder of a driver that lies where nobody looks.
const driverRootVar = "SANDBOX_DRIVER_ROOT"

// driverVersion is that of the module, or of the library that has just talked to it where containers hide
// /proc/driver. Windows counts its drivers otherwise than its files for Linux.
func driverVersion(inv gpu.Inventory) string {
	if inv.Module == "" && inv.Source == "nvml" {
		return inv.Driver
	}
	return inv.Module
}

// imageOf shows the merged layers, and the environment that the program would have.
func imageOf(stack *layer.Stack, in plan.Inputs) *inject.Image {
	return &inject.Image{ReadFile: stack.ReadFile, Stat: stack.Stat, Lstat: stack.Lstat, ReadDir: stack.ReadDir, Resolve: stack.Resolve, Env: plan.Environ(in)}
}

// ownCache tells whether the writable layer has a list of libraries, made by an ldconfig inside.
func ownCache(in plan.Inputs) bool {
	if in.Sandbox.Upper == "" {
		return false
	}
	_, err := os.Lstat(filepath.Join(in.Sandbox.Upper, "etc/ld.so.cache"))
	return err == nil
}

// imageFacts are kept between starts under the names of the layers: a C library is large to read.
func (m *Manager) imageFacts(lowers []spec.Lower, img *inject.Image) inject.ImageFacts {
	h := sha256.New()
	for _, l := range lowers {
		fmt.Fprintf(h, "%s\n", l.Path)
	}
	file := filepath.Join(m.StoreDir(), "envs-v1", "gpu", hex.EncodeToString(h.Sum(nil))+".json")
	keep := !slices.ContainsFunc(lowers, func(l spec.Lower) bool { return launch.Below(m.StoreDir(), l.Path) == "" && !m.chained(l.Path) })
	var facts inject.ImageFacts
	if b, err := smallfile.Read(file); keep && err == nil && json.Unmarshal(b, &facts) == nil {
		return facts
	}
	facts = *inject.ReadImage(*img)
	if b, err := json.Marshal(facts); keep && err == nil {
		if err = os.MkdirAll(filepath.Dir(file), 0o700); err == nil {
			err = atomicfile.Write(file, b, 0o600)
		}
		if err != nil {
			m.o.Log.Debug("facts of the image not kept", "err", err)
		}
	}
	return facts
}

// chained tells whether path lies in another store, whose layers do not change either.
func (m *Manager) chained(path string) bool {
	return slices.ContainsFunc(m.user.Stores, func(dir string) bool { return launch.Below(dir, path) != "" })
}

// addInjection makes operations, additions to the image and the folder for compiled kernels of an injection.
func (m *Manager) addInjection(i *inject.Injection, g *plan.GPU, a *additions) error {
	l := newOpList()
	l.add(i)
	if err := m.kernelCache(i.CacheKey, l, g); err != nil {
		return err
	}
	for _, op := range l.ops {
		// A device of NVIDIA's own description beside --gpus: one node is made once.
		if op.Kind != spec.Device || !slices.ContainsFunc(g.Ops, func(o spec.Op) bool { return o.Kind == op.Kind && o.Target == op.Target && o.Source == op.Source }) {
			g.Ops = append(g.Ops, op)
		}
	}
	for k, v := range i.Env {
		if k == "LD_LIBRARY_PATH" || k == "LD_PRELOAD" { // corrected from the whole environment, the user's part too
			g.Force[k] = v
			continue
		}
		g.Env[k] = v
	}
	for _, k := range i.Unset { // corrected, like the two above
		if k == "LD_LIBRARY_PATH" || k == "LD_PRELOAD" {
			g.Drop = append(g.Drop, k)
			continue
		}
		g.Unset = append(g.Unset, k)
	}
	g.Path = append(g.Path, i.PathAppend...)
	g.Memlock = g.Memlock || i.Memlock
	for name, content := range i.Lower {
		a.file(name, content)
	}
	return nil
}

// caches are the variables that name folders for compiled kernels: of the driver, Triton, PyTorch.
var kernelCaches = map[string]string{"CUDA_CACHE_PATH": "cuda", "TRITON_CACHE_DIR": "triton", "TORCHINDUCTOR_CACHE_DIR": "inductor"}

// kernelCache binds a folder for compiled kernels, one for each environment and driver: with the home
// folder thrown away, each run would compile again.
func (m *Manager) kernelCache(key string, l *opList, g *plan.GPU) error {
	if key == "" {
		return nil
	}
	dir := filepath.Join(m.StoreDir(), "caches-v1", "gpu", launch.Hash(key)[:24])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	const at = plan.Run + "/gpu-cache"
	l.bind(dir, at, true, false, []string{"nosuid", "nodev"}, "compiled kernels are kept for this environment and driver")
	for name, sub := range kernelCaches {
		g.Env[name] = at + "/" + sub
	}
	return nil
}
