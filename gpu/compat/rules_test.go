package compat

import (
	"slices"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
)

func TestRun(t *testing.T) {
	for _, c := range []struct {
		codes string
		cc    gpu.CC
		ptx   bool
		want  verdict
	}{
		{"8.0", gpu.CC{8, 0}, false, runs},
		{"8.0", gpu.CC{8, 6}, false, runs}, // machine code runs on later minors of its major
		{"8.0", gpu.CC{8, 9}, false, runs},
		{"8.6", gpu.CC{8, 9}, false, runs},
		{"8.6", gpu.CC{8, 0}, false, noCode}, // and not on earlier ones
		{"8.6", gpu.CC{9, 0}, true, noCode},  // never on another major
		{"3.7", gpu.CC{3, 5}, true, noCode},
		{"5.0 6.0 7.0 7.5", gpu.CC{6, 1}, false, runs},
		{"8.0+PTX", gpu.CC{9, 0}, true, runsPTX},
		{"8.0+PTX", gpu.CC{9, 0}, false, oldPTX},
		{"8.0+PTX", gpu.CC{7, 5}, true, noCode}, // PTX only goes up
		{"sm_75 compute_80", gpu.CC{8, 0}, true, runsPTX},
		{"sm_75 compute_80", gpu.CC{7, 5}, false, runs},
		{"9.0a", gpu.CC{9, 0}, false, runs},
		{"10.0a", gpu.CC{10, 3}, true, noCode}, // for that one chip
		{"sm_100f", gpu.CC{10, 3}, false, runs},
		{"sm_100", gpu.CC{10, 0}, false, runs},
		{"sm_120", gpu.CC{12, 1}, false, runs},
		{"sm_120", gpu.CC{10, 0}, true, noCode},
		{"5.2+JIT", gpu.CC{12, 0}, false, runs},
		{"5.2+JIT", gpu.CC{5, 0}, false, noCode},
		{"", gpu.CC{9, 0}, true, noCode},
	} {
		if got := run(parseCodes(splitList(c.codes)), c.cc, c.ptx); got != c.want {
			t.Errorf("%s on %s (ptx %t): %d, want %d", c.codes, c.cc, c.ptx, got, c.want)
		}
	}
}

func TestCodesThatCannotBeRead(t *testing.T) {
	for _, s := range []string{"", "x", "sm_", "compute_", "0.5", "8.", "8.x", "-8.0", "999.0", "8.99", "+PTX", "8.0.1", "9.0a+JITx"} {
		if c, ok := parseCode(s); ok {
			t.Errorf("%q is read as %+v", s, c)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"470.82.01", "525.60.13", true}, {"525.60.13", "525.60.13", false}, {"525.60.2", "525.60.13", true}, {"580.95.05", "580", false},
		{"579.99", "580", true}, {"450.80.02", "450.80.2", false}, {"", "580", false}, {"unknown", "580", false}, {"9.10.2.21", "9.9", false},
		{"99999999999999999999", "1", false}, {"2.5.1+cu118", "2.5.1", false},
	} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("older(%q, %q) = %t", c.a, c.b, got)
		}
	}
}

func TestFloors(t *testing.T) {
	for cuda, want := range map[string]string{
		"9.0": "384.81", "10.1": "418.39", "10.2": "440.33", "11.0": "450.36.06", "11.1": "450.80.02", "11.8": "450.80.02", "11.9": "450.80.02",
		"12.0": "525.60.13", "12.4": "525.60.13", "12.7": "525.60.13", "13.0": "580", "13.2": "580", "13.9": "580", "8.0": "", "14.0": "",
	} {
		if f, _ := floor(cudaVersion(cuda)); f.version != want {
			t.Errorf("CUDA %s: %q, want %q", cuda, f.version, want)
		}
	}
}

func TestGlibcOfFiles(t *testing.T) {
	for file, want := range map[string][2]int{
		"torch-2.7.1-cp311-cp311-manylinux_2_28_x86_64.whl":                     {2, 28},
		"tensorflow-2.18.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014.whl": {2, 17},
		"numpy-1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl":   {2, 27}, // either will do
		"torch-1.7.1-cp38-cp38-manylinux1_x86_64.whl":                           {2, 5},
		"x-1-cp38-cp38-manylinux2010_x86_64.whl":                                {2, 12},
		"x-1-py3-none-any.whl":                                                  {},
		"x-1-cp38-cp38-musllinux_1_2_x86_64.whl":                                {},
		"torch-2.5.1+cu121-cp311-cp311-linux_x86_64.whl":                        {},
		"x-1-cp38-cp38-manylinux_2_999999_x86_64.whl":                           {},
		"": {},
	} {
		if got, _ := fileGlibc(file); got != want {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}
}

// Every row of every table has its source, can be read, and stands in order.
func TestTables(t *testing.T) {
	f, err := load()
	if err != nil {
		t.Fatal(err)
	}
	source := func(of map[string]string, f fact, row string) {
		if of[f.Source] == "" {
			t.Errorf("%s has no source", row)
		}
	}
	for i, r := range f.Toolkits {
		source(f.CUDA, r.fact, "CUDA "+r.CUDA)
		if i > 0 && (!older(f.Toolkits[i-1].CUDA, r.CUDA) || !older(f.Toolkits[i-1].Driver, r.Driver)) {
			t.Errorf("CUDA %s or its driver stands in the wrong place", r.CUDA)
		}
		for _, c := range r.Compute {
			if _, ok := parseCode(c); !ok {
				t.Errorf("CUDA %s: compute capability %q", r.CUDA, c)
			}
		}
	}
	for _, r := range f.Families {
		source(f.CUDA, r.fact, r.Driver)
	}
	for _, r := range f.Forward {
		source(f.CUDA, r.fact, "cuda-compat "+r.CUDA)
	}
	for _, r := range f.Generations {
		source(f.GPUs, r.fact, r.Name)
	}
	for _, r := range f.CUDNN {
		source(f.GPUs, r.fact, "cuDNN "+r.CUDNN)
	}
	for _, r := range f.Models {
		source(f.GPUs, r.fact, r.Name)
		if r.DataCentre != "" && f.GPUs[r.DataCentre] == "" {
			t.Errorf("%s: nothing says that it is a data-centre GPU", r.Name)
		}
		if c, ok := parseCode(r.Compute); !ok || generationOf(c.CC) == nil {
			t.Errorf("%s: compute capability %q", r.Name, r.Compute)
		}
	}
	for _, fw := range []*framework{f.PyTorch, f.TensorFlow, f.JAX} {
		last := ""
		for _, r := range fw.Releases {
			if last != "" && !older(last, r.Minor) || !slices.IsSortedFunc(r.Versions, func(a, b string) int {
				x, _ := numbers(a)
				y, _ := numbers(b)
				return compare(x, y)
			}) {
				t.Errorf("%s %s stands in the wrong place", fw.Name, r.Minor)
			}
			last = r.Minor
			if r.Default != "" && r.build(r.Default) == nil || older(r.Python[1], r.Python[0]) || glibcOf(r.Glibc)[0] != 2 {
				t.Errorf("%s %s: default %q, Python %v, glibc %q", fw.Name, r.Minor, r.Default, r.Python, r.Glibc)
			}
			for _, v := range r.Versions {
				if minor(v) != r.Minor {
					t.Errorf("%s %s is no %s", fw.Name, v, r.Minor)
				}
			}
			for _, b := range r.Builds {
				if _, ok := floor(b.cuda); !ok {
					t.Errorf("%s %s %s: no driver is known for CUDA %s", fw.Name, r.Minor, b.Tag, b.CUDA)
				}
			}
		}
	}
}

// The branches on which compatibility libraries work, as NVIDIA's images of 12.8.0, 12.8.1 and 12.9.1 list them.
func TestForwardBranches(t *testing.T) {
	on := func(driver, name string) machine {
		return machineOf(gpu.Inventory{Driver: driver, Devices: []gpu.Device{{UUID: "GPU-1", Name: name, CC: gpu.CC{8, 0}}}}, nil)
	}
	for cuda, branches := range map[gpu.Version]map[string]bool{
		{12, 8}: {"470.82.01": true, "525.60.13": false, "535.183.01": true, "550.54.14": true, "555.42.02": false, "560.35.03": true, "565.57.01": true},
		{12, 9}: {"470.82.01": false, "535.183.01": true, "550.54.14": true, "560.35.03": true, "565.57.01": true, "570.26": true},
	} {
		for driver, want := range branches {
			if got := on(driver, "NVIDIA A100-SXM4-40GB").forwardCompat(cuda); got != want {
				t.Errorf("cuda-compat %s on driver %s: %t", cuda, driver, got)
			}
			if on(driver, "NVIDIA GeForce RTX 3080").forwardCompat(cuda) {
				t.Errorf("cuda-compat %s on a GeForce", cuda)
			}
		}
	}
}

// Two GPUs that the driver gives no UUID are two: by their addresses.
func TestPicksWithoutUUID(t *testing.T) {
	v100, h100 := gpu.Device{BDF: "0000:01:00.0", Name: "Tesla V100-SXM2-16GB", CC: gpu.CC{7, 0}}, gpu.Device{BDF: "0000:02:00.0", Name: "NVIDIA H100", CC: gpu.CC{9, 0}}
	inv := gpu.Inventory{Driver: "580.95.05", Devices: []gpu.Device{h100, v100}}
	need := NeedOf(nil, map[string]string{"cuda": "13.0"}, nil)
	if ps := Blocking(Check(need, inv, gpu.Pick{Device: h100}, gpu.Pick{Device: v100})); len(ps) != 1 || ps[0].Need != "code for compute capability 7.0" {
		t.Errorf("%+v", ps)
	}
}
