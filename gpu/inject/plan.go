package inject

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver"
)

// Plan makes the injection of the picked GPUs. It reads device nodes and files of proc and sys below
// in.Roots, and the image; it writes nothing. Errors are [*NodeError], [*LibcError] and [*CompatError],
// each with a hint.
func Plan(in Inputs) (*Injection, error) {
	if len(in.Picks) == 0 {
		return nil, errors.New("no GPU was picked")
	}
	if in.Set == nil {
		return nil, errors.New("no driver was looked for")
	}
	if len(in.Caps) == 0 {
		in.Caps = []gpu.Capability{gpu.Compute, gpu.Utility}
	}
	if in.Facts == nil {
		in.Facts = ReadImage(in.Image)
	}
	p := &planner{Inputs: in, out: &Injection{Env: map[string]string{}}, sonames: map[soname]string{}}
	for _, step := range []func() error{p.libc, p.nodes, p.procfs, p.libraries, p.compat, p.programs, p.sockets, p.graphics, p.linker, p.environ} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	p.out.Memlock = in.wants(gpu.Compute)
	p.out.CacheKey = p.cacheKey()
	p.record()
	p.out.Notes = append(slices.Clone(in.Set.Notes), append(in.Facts.Notes, p.out.Notes...)...)
	return p.out, nil
}

// planner is one Plan at work.
type planner struct {
	Inputs
	out       *Injection
	sonames   map[soname]string // what the linker is to find, and where
	compatDir string            // of the image's cuda-compat, if it is used
	fallback  bool              // LD_LIBRARY_PATH instead of ld.so.cache
}

// soname is a name that programs ask the linker for.
type soname struct {
	name  string
	class int
}

// libc refuses an image that cannot load any of the driver's files.
func (p *planner) libc() error {
	switch {
	case p.Facts.Libc == "musl" && !p.Force:
		return &LibcError{Libc: "musl"}
	case p.Facts.Libc == "musl":
		p.out.note("the image is built on musl: only programs that bring their own glibc can use the GPU")
	case p.Facts.Libc == "":
		p.out.note("no C library was found in the image: only programs that bring their own glibc can use the GPU")
	}
	return nil
}

// fits tells whether the image's libc is new enough for a file.
func (p *planner) fits(f driver.File) bool {
	have := p.Facts.Glibc
	return have == [2]int{} || p.Force || f.Glibc[0] < have[0] || f.Glibc[0] == have[0] && f.Glibc[1] <= have[1]
}

func (p *planner) cacheKey() string {
	sum := sha256.Sum256([]byte(p.driverVersion() + "\x00" + p.compatDir + "\x00" + p.EnvDigest))
	return hex.EncodeToString(sum[:16])
}

func (p *planner) driverVersion() string {
	if p.Set.Version != "" {
		return p.Set.Version
	}
	return p.Inventory.Driver
}

// devices are the GPUs of all picks, each once.
func (p *planner) devices() []gpu.Device {
	var out []gpu.Device
	for _, k := range p.Picks {
		if !slices.ContainsFunc(out, func(d gpu.Device) bool { return d.ID() == k.Device.ID() }) {
			out = append(out, k.Device)
		}
	}
	return out
}

func (p *planner) record() {
	r := &p.out.Record
	r.Driver, r.Module, r.Open, r.Caps = p.driverVersion(), p.Inventory.Module, p.Inventory.Open, p.Caps
	if p.Inventory.CUDA.Known() {
		r.CUDA = p.Inventory.CUDA.String()
	}
	for _, k := range p.Picks {
		if k.Why != "" {
			r.reason("%s: %s", k.ID(), k.Why)
		}
	}
	if p.wants(gpu.Compute) {
		r.Libcuda, r.Path = "host", p.hostLibcuda()
		if p.compatDir != "" {
			r.Libcuda, r.Path = "compat", path.Join(p.compatDir, "libcuda.so.1")
		}
	}
}

func (p *planner) hostLibcuda() string {
	for _, f := range p.Set.Files {
		if strings.HasPrefix(f.Name, "libcuda.so.") && f.Class == 64 {
			return f.Path
		}
	}
	return ""
}

func (p *planner) used(f driver.File) {
	u := Used{Path: f.Path, Size: f.Size, Mtime: f.Mtime, Inode: f.Inode}
	if !slices.Contains(p.out.Record.Files, u) {
		p.out.Record.Files = append(p.out.Record.Files, u)
	}
}
