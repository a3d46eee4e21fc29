package compat

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/4cc2e759/sandbox/gpu"
)

func first(t *testing.T, n Need, inv gpu.Inventory) Problem {
	t.Helper()
	ps := Check(n, inv, picked(inv)...)
	if len(ps) == 0 {
		t.Fatal("no problem")
	}
	return ps[0]
}

// An H200 needs code for 9.0. The official builds have it from 2.0 on, there only for CUDA 11.8; what a
// plain install gives has it from 2.1 on.
func TestBlogEnvironmentOnH200(t *testing.T) {
	p := first(t, blog("1.7"), h200)
	if !p.Blocks || p.ID != "kernels-pytorch" {
		t.Errorf("not refused for its kernels: %+v", p)
	}
	want := []string{
		"pytorch 2.0.1 with CUDA 11.8 (torch==2.0.1+cu118)",
		"pytorch 2.1.2 with CUDA 12.1 (torch==2.1.2)",
		"pytorch 2.15.0 with CUDA 13.2 (torch==2.15.0)",
	}
	if !slices.Equal(p.Ways, want) {
		t.Errorf("ways %q, want %q", p.Ways, want)
	}
}

// An RTX 4090 is 8.9 and runs code for 8.0, which the build of the same version for CUDA 11.0 has.
func TestBlogEnvironmentOnRTX4090(t *testing.T) {
	p := first(t, blog("1.7"), rtx4090)
	if want := "pytorch 1.7.1 with CUDA 11.0 (torch==1.7.1+cu110)"; !p.Blocks || len(p.Ways) == 0 || p.Ways[0] != want {
		t.Errorf("%+v, want %q first", p, want)
	}
	p = first(t, blog("1.7.0"), rtx4090)
	want := []string{"pytorch 1.7.0 with CUDA 11.0 (torch==1.7.0+cu110)", "pytorch 1.7.1 with CUDA 11.0 (torch==1.7.1+cu110)"}
	if len(p.Ways) < 2 || !slices.Equal(p.Ways[:2], want) {
		t.Errorf("ways %q, want %q first", p.Ways, want)
	}
}

func TestWhatWorksIsSilent(t *testing.T) {
	for name, c := range map[string]struct {
		n   Need
		inv gpu.Inventory
	}{
		"torch 2.5.1 on a T4 with driver 535":             {torch("2.5.1", "nvidia-cuda-runtime-cu12==12.4.127"), have("535.261.03", "12.2", "Tesla T4=7.5")},
		"torch 2.5.1+cu118 on a T4 with driver 470":       {torch("2.5.1+cu118"), t4},
		"torch 2.11 on an H100 with driver 580":           {torch("2.11.0", "cuda-toolkit==13.0.2"), h200},
		"torch 1.7.1+cu110 on an RTX 4090":                {torch("1.7.1+cu110"), rtx4090},
		"torch 2.14.1+cu126 on a V100":                    {torch("2.14.1+cu126", "nvidia-cuda-runtime-cu12==12.6.77", "nvidia-cudnn-cu12==9.10.2.21"), v100},
		"CUDA 11.0 with its own driver, below the floor":  {NeedOf(nil, map[string]string{"cuda": "11.0"}, nil), have("450.51.06", "11.0", "Tesla T4=7.5")},
		"nothing asked for":                               {Need{}, h200},
		"a machine without a GPU":                         {torch("2.11.0", "cuda-toolkit==13.0.2"), gpu.Inventory{Source: "none"}},
		"a GPU of which only an unknown name is known":    {torch("2.11.0", "cuda-toolkit==13.0.2"), have("580.95.05", "", "NVIDIA Something New=")},
		"a driver that cannot be read":                    {torch("2.5.1", "nvidia-cuda-runtime-cu12==12.4.127"), have("", "", "NVIDIA H200=9.0")},
		"a CUDA version that nobody knows, known driver":  {NeedOf(nil, map[string]string{"cuda": "14.2"}, nil), have("650.10", "14.1", "NVIDIA H200=9.0")},
		"builds for aarch64, which the tables are not of": {NeedOf(nil, nil, []Wheel{{Name: "torch", Version: "2.11.0", File: "torch-2.11.0-cp311-cp311-manylinux_2_28_aarch64.whl"}, {Name: "cuda-toolkit", Version: "13.0.2"}}), have("580.95.05", "13.0", "NVIDIA Thor=11.0")},
	} {
		if ps := Check(c.n, c.inv, picked(c.inv)...); len(ps) != 0 {
			t.Errorf("%s: %+v", name, ps)
		}
	}
}

func TestUnknownMajorOfCUDA(t *testing.T) {
	p := first(t, NeedOf(nil, map[string]string{"cuda": "14.2"}, nil), h200)
	if p.ID != "driver-cuda" || !p.Blocks || p.Text != "CUDA 14.2 needs a driver for CUDA 14.2; this machine has driver 580.95.05 (CUDA 13.0)" {
		t.Errorf("%+v", p)
	}
}

// Where only the model's name is known (procfs), the table of names serves.
func TestComputeCapabilityByName(t *testing.T) {
	for name, want := range map[string]gpu.CC{
		"NVIDIA H100 80GB HBM3": {9, 0}, "NVIDIA A100-SXM4-40GB": {8, 0}, "Tesla V100-SXM2-16GB": {7, 0}, "NVIDIA GeForce RTX 4090": {8, 9},
		"NVIDIA GeForce RTX 3080 Ti Laptop GPU": {8, 6}, "NVIDIA RTX 6000 Ada Generation": {8, 9}, "Tesla T4": {7, 5}, "NVIDIA L40S": {8, 9}, "NVIDIA Something": {},
	} {
		inv := have("580.95.05", "13.0", name+"=")
		if got := machineOf(inv, nil).devices[0].cc; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	inv := have("580.95.05", "", "Tesla V100-SXM2-16GB=")
	inv.Source = "procfs"
	if p := first(t, torch("2.11.0", "cuda-toolkit==13.0.2"), inv); p.ID != "kernels-pytorch" || p.Blocks {
		t.Errorf("a remark is wanted, as the table of names is from memory: %+v", p)
	}
}

func TestPicksCountAndNotTheMachine(t *testing.T) {
	n := torch("2.11.0", "cuda-toolkit==13.0.2")
	if ps := Check(n, mixed, gpu.Pick{Device: mixed.Devices[0]}); len(ps) != 0 {
		t.Errorf("the H200 was picked: %+v", ps)
	}
	if ps := Blocking(Check(n, mixed, gpu.Pick{Device: mixed.Devices[1]})); len(ps) != 1 {
		t.Errorf("the V100 was picked: %+v", ps)
	}
	if ps := Blocking(Check(n, mixed)); len(ps) != 0 {
		t.Errorf("one of two GPUs does: %+v", ps)
	}
	// two slices of one GPU are one GPU
	slice := gpu.Pick{Device: mixed.Devices[1], MIG: &gpu.MIG{UUID: "MIG-1"}}
	if ps := Check(n, mixed, slice, slice); strings.Count(ps[0].Text, "V100") != 1 {
		t.Errorf("%+v", ps)
	}
}

func TestAnUncheckedFactNeverBlocksNorAdvises(t *testing.T) {
	p := first(t, torch("2.7.1+cu128"), v100)
	if p.Blocks || !strings.HasSuffix(p.Text, " (not verified)") {
		t.Errorf("%+v", p)
	}
	for _, c := range cases() {
		for _, p := range Check(c.need, c.have, picked(c.have)...) {
			for _, w := range p.Ways {
				if r, b := buildOf(t, w); b != nil && !b.Checked {
					t.Errorf("%s: %q rests on an unchecked fact about %s", c.name, w, r.Minor)
				}
			}
		}
	}
}

var wayText = regexp.MustCompile(`^(pytorch|tensorflow|jax) (\S+) with CUDA (\S+) \(`)

// buildOf finds the build that a way speaks of; nil if it speaks of none.
func buildOf(t *testing.T, way string) (*release, *build) {
	m := wayText.FindStringSubmatch(way)
	if m == nil {
		return nil, nil
	}
	fw := map[string]*framework{"pytorch": facts().PyTorch, "tensorflow": facts().TensorFlow, "jax": facts().JAX}[m[1]]
	r := fw.release(m[2])
	if r == nil || !slices.Contains(r.Versions, m[2]) {
		t.Fatalf("no such release: %s", way)
	}
	b := r.forCUDA(cudaVersion(m[3]))
	if b == nil {
		t.Fatalf("no such build: %s", way)
	}
	return r, b
}

// Whatever is asked for, on whatever machine: what is advised runs there.
func TestNoWayThatTheMachineCannotRun(t *testing.T) {
	drivers := []string{"390.157/9.1", "440.33.01/10.2", "470.82.01/11.4", "525.60.13/12.0", "535.261.03/12.2", "570.86.10/12.8", "580.95.05/13.0", "595.45.04/13.2"}
	gpus := []string{"GeForce GTX 680=3.0", "Tesla K80=3.7", "Tesla P100-PCIE-16GB=6.0", "Tesla V100=7.0", "Tesla T4=7.5", "NVIDIA A100=8.0", "NVIDIA GeForce RTX 3090=8.6", "NVIDIA GeForce RTX 4090=8.9", "NVIDIA H200=9.0", "NVIDIA B200=10.0", "NVIDIA B300=10.3", "NVIDIA GeForce RTX 5090=12.0"}
	asked, ways := 0, 0
	for _, fw := range []*framework{facts().PyTorch, facts().TensorFlow, facts().JAX} {
		for _, r := range fw.Releases {
			for _, b := range r.Builds {
				n := Need{CUDA: b.cuda, Sources: map[string]string{}}
				switch fw.Name {
				case "pytorch":
					n.Torch, n.TorchBuild = r.newest(), "+"+b.Tag
				case "tensorflow":
					n.TensorFlow = r.newest()
				case "jax":
					n.JAX, n.JAXBuild = r.newest(), b.Tag
				}
				for _, d := range drivers {
					driver, cuda, _ := strings.Cut(d, "/")
					for _, g := range gpus {
						inv := have(driver, cuda, g)
						asked++
						for _, p := range Check(n, inv, picked(inv)...) {
							if len(p.Ways) > maxWays {
								t.Fatalf("%d ways: %q", len(p.Ways), p.Ways)
							}
							for _, w := range p.Ways {
								if _, b := buildOf(t, w); b != nil {
									ways++
									mustRun(t, w, b, inv)
								}
							}
						}
					}
				}
			}
		}
	}
	if asked < 5000 || ways < 4000 {
		t.Errorf("only %d questions and %d ways", asked, ways)
	}
}

// mustRun judges a way by the rules themselves, written here a second time.
func mustRun(t *testing.T, way string, b *build, inv gpu.Inventory) {
	t.Helper()
	cc := inv.Devices[0].CC
	code := false
	for _, s := range b.Compute {
		switch {
		case strings.HasSuffix(s, "+JIT"):
			code = true
		case strings.HasPrefix(s, "compute_"):
			code = code || !inv.CUDA.Less(b.cuda)
		default:
			v := cudaVersion(strings.TrimSuffix(s, "+PTX"))
			code = code || v[0] == cc[0] && v[1] <= cc[1]
		}
	}
	lowest := map[int]string{11: "450.36.06", 12: "525.60.13", 13: "580"}[b.cuda[0]]
	if b.cuda[0] < 11 {
		lowest = toolkitOf(b.cuda).Driver
	}
	if !code || older(inv.Driver, lowest) {
		t.Errorf("%q does not run on %s with driver %s", way, inv.Devices[0].Name, inv.Driver)
	}
}

// Texts are put after "error: ": docs/messages.md.
func TestTextsArePlain(t *testing.T) {
	names := []string{"CUDA ", "Kepler ", "Maxwell ", "Pascal ", "Volta "}
	for _, c := range cases() {
		for _, p := range Check(c.need, c.have, picked(c.have)...) {
			for _, s := range append([]string{p.Text}, p.Ways...) {
				r := []rune(s)
				proper := slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(s, n) })
				if strings.HasSuffix(s, ".") || strings.ContainsAny(s, "\n\t") || unicode.IsUpper(r[0]) && !proper {
					t.Errorf("%s: %q", c.name, s)
				}
			}
			if p.ID == "" || p.Need == "" || p.Have == "" {
				t.Errorf("%s: incomplete: %+v", c.name, p)
			}
			if p.Blocks && p.Source == "" {
				t.Errorf("%s: refused without a source: %+v", c.name, p)
			}
		}
	}
}

func TestPythonIsNamedWhereItDiffers(t *testing.T) {
	n := NeedOf(nil, map[string]string{"pytorch": "1.7", "cuda": "10.1", "python": "3.12.3"}, nil)
	p := first(t, n, h200)
	if want := "pytorch 2.0.1 with CUDA 11.8 (torch==2.0.1+cu118), for Python 3.8 to 3.11"; p.Ways[0] != want {
		t.Errorf("%q, want %q", p.Ways[0], want)
	}
	if strings.Contains(p.Ways[2], "Python") {
		t.Errorf("2.15 is for Python 3.12 too: %q", p.Ways[2])
	}
}
