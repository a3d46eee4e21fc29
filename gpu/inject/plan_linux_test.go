package inject

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver"
	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/internal/hint"
)

func plan(t *testing.T, in Inputs) *Injection {
	t.Helper()
	out, err := Plan(in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func says(notes []string, text string) bool {
	return slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, text) })
}

func target(out *Injection, at string) bool {
	return slices.ContainsFunc(out.Binds, func(b Bind) bool { return b.Target == at })
}

func TestEveryOperationHasAReason(t *testing.T) {
	for _, name := range gputest.Whole() {
		in := inputs(t, gputest.New(t, name), 1, gpu.Capabilities()...)
		in.Image = debian(t).image()
		out := plan(t, in)
		for _, x := range out.Tmpfs {
			check(t, x.Target, x.Why)
		}
		for _, x := range out.Files {
			check(t, x.Target, x.Why)
		}
		for _, x := range out.Nodes {
			check(t, x.Target, x.Why)
		}
		for _, x := range out.Binds {
			check(t, x.Target, x.Why)
			if !slices.Contains(x.Flags, "nosuid") || !slices.Contains(x.Flags, "nodev") {
				t.Errorf("%s: %q", x.Target, x.Flags)
			}
		}
		for _, x := range out.Links {
			check(t, x.Target, x.Why)
		}
	}
}

func check(t *testing.T, target, why string) {
	t.Helper()
	if why == "" || !strings.HasPrefix(target, "/") {
		t.Errorf("%s: %q", target, why)
	}
}

func TestLibcOfTheImage(t *testing.T) {
	m := gputest.New(t, "laptop-ubuntu2404") // most files ask for 2.34, libcuda for 2.9
	in := inputs(t, m, 1)
	old := func(version string) Image {
		tr := debian(t)
		tr.write("usr/lib/x86_64-linux-gnu/libc.so.6", "GNU C Library (x) stable release version "+version+".\n")
		return tr.image()
	}
	in.Image = old("2.31")
	out := plan(t, in)
	if !target(out, Lib64+"/libcuda.so."+m.Driver) || target(out, Lib64+"/libnvidia-nvvm.so."+m.Driver) || target(out, Bin+"/nvidia-smi") ||
		!says(out.Notes, "left out: the driver's libnvidia-nvvm.so.560.35.03 needs glibc 2.34 and the image has 2.31") {
		t.Errorf("%q", out.Notes)
	}
	if strings.Contains(string(out.Lower[cacheName]), "libnvidia-nvvm") {
		t.Error("what is left out is in the cache")
	}
	in.Image = old("2.8")
	_, err := Plan(in)
	var e *LibcError
	if !errors.As(err, &e) || e.Have != [2]int{2, 8} || e.Need != [3]int{2, 9, 0} || len(hint.Of(err)) != 1 {
		t.Errorf("%v", err)
	}
	in.Force = true
	if _, err := Plan(in); err != nil {
		t.Errorf("forced: %v", err)
	}
}

func TestTheRealLibcIsRead(t *testing.T) {
	b, err := os.ReadFile("/lib/x86_64-linux-gnu/libc.so.6")
	if err != nil {
		t.Fatal(err)
	}
	v := libcVersion(b)
	if v[0] != 2 || v[1] < 28 {
		t.Errorf("%v", v)
	}
	if w := libcVersion([]byte(strings.ReplaceAll(string(b), " release version ", " RELEASE VERSION "))); w != v {
		t.Errorf("its banner says %v, its symbols %v", v, w)
	}
}

func TestMuslIsRefused(t *testing.T) {
	m := gputest.New(t, "gke")
	in := inputs(t, m, 1)
	// With gcompat there is glibc's linker, and still no glibc.
	in.Image = newTree(t, map[string]string{"lib/ld-musl-x86_64.so.1": "musl", "lib64/ld-linux-x86-64.so.2": "-> /lib/ld-musl-x86_64.so.1", "etc/alpine-release": "3.22\n"}).image()
	_, err := Plan(in)
	var e *LibcError
	if !errors.As(err, &e) || e.Libc != "musl" || !strings.Contains(e.Hint(), "--force-gpu") {
		t.Errorf("%v", err)
	}
	in.Force = true
	if out := plan(t, in); !says(out.Notes, "musl") {
		t.Errorf("%q", out.Notes)
	}
}

func TestProgramsNeedTheirLinker(t *testing.T) {
	m := gputest.New(t, "gke")
	if err := os.WriteFile(m.Path("home/kubernetes/bin/nvidia/bin/nvidia-smi"), gputest.ELF{Says: "x", Interp: "/nix/store/x-glibc-2.40/lib/ld-linux-x86-64.so.2"}.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	in := inputs(t, m, 1)
	in.Image = debian(t).image()
	out := plan(t, in)
	if target(out, Bin+"/nvidia-smi") || !target(out, Bin+"/nvidia-debugdump") || !says(out.Notes, "nvidia-smi is left out: it needs /nix/store/x-glibc-2.40") {
		t.Errorf("%q", out.Notes)
	}
}

func TestMPS(t *testing.T) {
	m := gputest.New(t, "h100x8")
	if err := os.MkdirAll(m.Path("run/mps"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.Path("run/mps/control"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	in := inputs(t, m, 1)
	in.Environ = map[string]string{"CUDA_MPS_PIPE_DIRECTORY": "/run/mps", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "50", "CUDA_MPS_LOG_DIRECTORY": "/var/log"}
	var err error
	if in.Set, err = driver.Discover(m.Roots, driver.Options{Environ: in.Environ}); err != nil {
		t.Fatal(err)
	}
	in.Image = debian(t).image()
	out := plan(t, in)
	i := slices.IndexFunc(out.Binds, func(b Bind) bool { return b.Target == MPS })
	if i < 0 || out.Binds[i].Source != m.Path("run/mps") || !out.Binds[i].Folder || slices.Contains(out.Binds[i].Flags, "ro") {
		t.Errorf("%+v", out.Binds)
	}
	if out.Env["CUDA_MPS_PIPE_DIRECTORY"] != MPS || out.Env["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] != "50" || out.Env["CUDA_MPS_LOG_DIRECTORY"] != "" {
		t.Errorf("%v", out.Env)
	}
}

func TestCompat(t *testing.T) {
	for _, c := range []struct {
		machine, mode string
		used          bool
		fails         string
		why           string
	}{
		{"h100x8", "", false, "", "not of a newer branch than the driver 580.95.05"},
		{"gke", "auto", true, "", "its branch is newer than the driver 535.183.01"},
		{"gke", "off", false, "", "--cuda-compat=off"},
		{"h100x8", "on", true, "", "--cuda-compat=on"},
		{"laptop-ubuntu2404", "auto", false, "", "not of a newer branch"},
		{"wsl2", "on", false, "there is none on WSL2", ""},
		{"gke", "maybe", false, "wants auto, on or off", ""},
	} {
		in := inputs(t, gputest.New(t, c.machine), 1)
		in.Image, in.CompatMode = debian(t).image("LD_LIBRARY_PATH=/usr/local/cuda/compat"), c.mode
		out, err := Plan(in)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s %s: %v", c.machine, c.mode, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		r := out.Record
		if (r.Libcuda == "compat") != c.used || (len(out.Masks) == 0) != c.used || !says(r.Reasons, c.why) {
			t.Errorf("%s %s: %s %s %+v %q", c.machine, c.mode, r.Libcuda, r.Path, out.Masks, r.Reasons)
		}
		if hidden := slices.Contains(out.Unset, "LD_LIBRARY_PATH"); hidden == c.used {
			t.Errorf("%s %s: LD_LIBRARY_PATH: %v %v", c.machine, c.mode, out.Unset, out.Env)
		}
	}
	in := inputs(t, gputest.New(t, "gke"), 1)
	in.Inventory.Devices[0].Name = "NVIDIA GeForce RTX 4090"
	in.Picks[0].Device.Name = "NVIDIA GeForce RTX 4090"
	in.Image = debian(t).image()
	if out := plan(t, in); out.Record.Libcuda != "host" || !says(out.Record.Reasons, "data-centre GPUs only") {
		t.Errorf("%q", out.Record.Reasons)
	}
	in.Image, in.CompatMode = newTree(t, map[string]string{"lib64/libc.so.6": "GNU C Library x release version 2.36."}).image(), "on"
	var e *CompatError
	if _, err := Plan(in); !errors.As(err, &e) {
		t.Errorf("%v", err)
	}
}

func TestDataCentre(t *testing.T) {
	for name, want := range map[string]bool{"NVIDIA H100 80GB HBM3": true, "Tesla T4": true, "NVIDIA L4": true, "NVIDIA RTX PRO 6000 Blackwell Server Edition": true, "NVIDIA GH200 480GB": true,
		"NVIDIA GeForce RTX 4090": false, "Quadro RTX 8000": false, "NVIDIA RTX A6000": false, "NVIDIA TITAN V": false, "": false} {
		if DataCentre(name) != want {
			t.Errorf("%q", name)
		}
	}
}

func TestRecordHashesLazily(t *testing.T) {
	m := gputest.New(t, "gke")
	in := inputs(t, m, 1)
	in.Image = debian(t).image()
	out := plan(t, in)
	r := &out.Record
	for _, f := range r.Files {
		if f.SHA256 != "" || f.Size == 0 {
			t.Fatalf("%+v", f)
		}
	}
	kept := 0
	if err := r.Hash(func(u Used) string {
		if kept++; kept == 1 {
			return "known"
		}
		return ""
	}); err != nil {
		t.Fatal(err)
	}
	if r.Files[0].SHA256 != "known" || len(r.Files[1].SHA256) != 64 {
		t.Errorf("%+v", r.Files[:2])
	}
	changed := plan(t, in).Record
	if err := os.WriteFile(changed.Files[0].Path, []byte("other"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := changed.Hash(nil); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("%v", err)
	}
}

// Two starts of one image on one driver share the layer, and others do not.
func TestLowerKey(t *testing.T) {
	m := gputest.New(t, "gke")
	in := inputs(t, m, 1)
	in.Image = debian(t).image()
	a := plan(t, in)
	in.Picks[0].Device = m.Inventory.Devices[1]
	b := plan(t, in)
	in.CompatMode = "off"
	c := plan(t, in)
	if a.LowerKey() != b.LowerKey() || a.LowerKey() == c.LowerKey() || len(a.LowerKey()) != 64 || (&Injection{}).LowerKey() != "" {
		t.Errorf("%s %s %s", a.LowerKey(), b.LowerKey(), c.LowerKey())
	}
}

// The key names compiled kernels: another driver or environment must not find them.
func TestCacheKey(t *testing.T) {
	in := inputs(t, gputest.New(t, "gke"), 1)
	in.Image = debian(t).image()
	a := plan(t, in).CacheKey
	in.EnvDigest = "sha256:1"
	b := plan(t, in).CacheKey
	in.EnvDigest, in.CompatMode = "sha256:0", "off"
	c := plan(t, in).CacheKey
	if a == b || a == c || len(a) != 32 {
		t.Errorf("%s %s %s", a, b, c)
	}
}
