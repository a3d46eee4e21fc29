package compat

import (
	"reflect"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
)

func TestNeedOf(t *testing.T) {
	type pins = map[string]string
	for name, c := range map[string]struct {
		env    []string
		pins   pins
		wheels []Wheel
		want   Need // Sources apart
	}{
		"nothing": {},
		"a lock from the default index": {
			pins: pins{"pytorch": "2.5.1", "cuda": "12.4", "python": "3.11.9", "driver": ">=525.60.13", "compute": "5.0, 9.0"},
			wheels: []Wheel{{"torch", "2.5.1", "torch-2.5.1-cp311-cp311-manylinux1_x86_64.whl"}, {"nvidia_cuda_runtime_cu12", "12.4.127", "nvidia_cuda_runtime_cu12-12.4.127-py3-none-manylinux2014_x86_64.whl"},
				{"nvidia-cudnn-cu12", "9.1.0.70", ""}, {"numpy", "2.1.0", "numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"}},
			want: Need{Torch: "2.5.1", CUDA: gpu.Version{12, 4}, CUDNN: "9.1.0.70", Driver: "525.60.13", Compute: []string{"5.0", "9.0"}, Python: "3.11.9",
				WheelGlibc: [2]int{2, 17}, WheelFile: "numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"},
		},
		"CUDA 13: names without suffix": {
			wheels: []Wheel{{"torch", "2.11.0", ""}, {"cuda-toolkit", "13.0.2", ""}, {"nvidia-cuda-runtime", "13.0.96", ""}, {"nvidia-cudnn-cu13", "9.19.0.56", ""}},
			want:   Need{Torch: "2.11.0", CUDA: gpu.Version{13, 0}, CUDNN: "9.19.0.56"},
		},
		"a local version": {
			wheels: []Wheel{{"torch", "2.5.1+cu118", ""}},
			want:   Need{Torch: "2.5.1", TorchBuild: "+cu118", CUDA: gpu.Version{11, 8}},
		},
		"a local version in the file name only": {
			wheels: []Wheel{{"torch", "2.5.1", "torch-2.5.1%2Bcu121-cp311-cp311-linux_x86_64.whl"}},
			want:   Need{Torch: "2.5.1", TorchBuild: "+cu121", CUDA: gpu.Version{12, 1}},
		},
		"a wheel with CUDA inside": {
			wheels: []Wheel{{"torch", "1.7.1", "torch-1.7.1-cp38-cp38-manylinux1_x86_64.whl"}},
			want:   Need{Torch: "1.7.1", CUDA: gpu.Version{10, 2}, WheelGlibc: [2]int{2, 5}, WheelFile: "torch-1.7.1-cp38-cp38-manylinux1_x86_64.whl"},
		},
		"the blog's environment": {
			pins: pins{"pytorch": "1.7", "cuda": "10.1", "cudnn": "7", "pytorch.from": "base"},
			want: Need{Torch: "1.7", CUDA: gpu.Version{10, 1}, CUDNN: "7"},
		},
		"only the major version of CUDA shows": {
			wheels: []Wheel{{"torch", "2.99.0", "torch-2.99.0-cp311-cp311-manylinux_2_28_x86_64.whl"}, {"nvidia-cublas-cu12", "12.4.5.8", ""}},
			want:   Need{Torch: "2.99.0", CUDA: gpu.Version{12, 0}, WheelGlibc: [2]int{2, 28}, WheelFile: "torch-2.99.0-cp311-cp311-manylinux_2_28_x86_64.whl"},
		},
		"a CPU wheel": {
			wheels: []Wheel{{"torch", "2.5.1+cpu", ""}},
			want:   Need{CPUBuilds: []string{"pytorch 2.5.1+cpu"}},
		},
		"Debian's package": {
			pins: pins{"pytorch": "2.6.0", "pytorch.from": "deb"},
			want: Need{CPUBuilds: []string{"pytorch 2.6.0"}},
		},
		"for AMD": {
			wheels: []Wheel{{"torch", "2.5.1+rocm6.2", ""}},
			want:   Need{OtherBuilds: []string{"pytorch 2.5.1+rocm6.2"}},
		},
		"tensorflow with its libraries": {
			wheels: []Wheel{{"tensorflow", "2.18.0", ""}, {"nvidia-cuda-runtime-cu12", "12.5.82", ""}, {"nvidia-cudnn-cu12", "9.3.0.75", ""}},
			want:   Need{TensorFlow: "2.18.0", CUDA: gpu.Version{12, 5}, CUDNN: "9.3.0.75"},
		},
		"tensorflow without": {
			wheels: []Wheel{{"tensorflow", "2.18.0", ""}},
			want:   Need{CPUBuilds: []string{"tensorflow 2.18.0 without the CUDA libraries"}},
		},
		"tensorflow in a CUDA image": {
			env:    []string{"CUDA_VERSION=11.8.0", "NVIDIA_REQUIRE_CUDA=cuda>=11.8"},
			wheels: []Wheel{{"tensorflow", "2.13.0", ""}},
			want:   Need{TensorFlow: "2.13.0", CUDA: gpu.Version{11, 8}, ImageCUDA: gpu.Version{11, 8}, Require: []string{"cuda>=11.8"}},
		},
		"jax": {
			wheels: []Wheel{{"jax", "0.9.2", ""}, {"jaxlib", "0.9.2", ""}, {"jax_cuda13_plugin", "0.9.2", ""}},
			want:   Need{JAX: "0.9.2", JAXBuild: "cuda13", CUDA: gpu.Version{13, 0}},
		},
		"an old jaxlib": {
			wheels: []Wheel{{"jax", "0.4.20", ""}, {"jaxlib", "0.4.20+cuda12.cudnn89", ""}},
			want:   Need{JAX: "0.4.20", JAXBuild: "cuda12", CUDA: gpu.Version{12, 0}},
		},
		"jax for the CPU": {
			wheels: []Wheel{{"jax", "0.9.2", ""}, {"jaxlib", "0.9.2", ""}},
			want:   Need{CPUBuilds: []string{"jax 0.9.2 without a CUDA plugin"}},
		},
		"an image with requirements": {
			env:  []string{"CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA=cuda>=12.4", "NVIDIA_REQUIRE_ARCH=arch>=7.0", "NVIDIA_REQUIRE_JETPACK=x", "NV_CUDNN_VERSION=9.1.0.70-1", "CUDA_VERSION", "=x"},
			want: Need{CUDA: gpu.Version{12, 4}, ImageCUDA: gpu.Version{12, 4}, Require: []string{"arch>=7.0", "cuda>=12.4"}, CUDNN: "9.1.0.70-1"},
		},
		"a legacy image": {
			env:  []string{"CUDA_VERSION=9.0.176"},
			want: Need{CUDA: gpu.Version{9, 0}, ImageCUDA: gpu.Version{9, 0}, Require: []string{"cuda>=9.0"}},
		},
		"requirements switched off": {
			env:  []string{"CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA=cuda>=12.4", "NVIDIA_DISABLE_REQUIRE=1"},
			want: Need{CUDA: gpu.Version{12, 4}, ImageCUDA: gpu.Version{12, 4}},
		},
		"switched off with a word that means nothing": {
			env:  []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.4", "NVIDIA_DISABLE_REQUIRE=yes please"},
			want: Need{Require: []string{"cuda>=12.4"}},
		},
		"an image with PyTorch": {
			env:  []string{"PYTORCH_VERSION=2.5.1", "CUDA_VERSION=12.4.1"},
			want: Need{Torch: "2.5.1", CUDA: gpu.Version{12, 4}, ImageCUDA: gpu.Version{12, 4}, Require: []string{"cuda>=12.4"}},
		},
		"an image with somebody's own PyTorch": {
			env:  []string{"PYTORCH_VERSION=2.6.0a0+df5bbc09d1", "TORCH_CUDA_ARCH_LIST=7.5 8.0 9.0+PTX", "CUDA_VERSION=12.6.3.004"},
			want: Need{CUDA: gpu.Version{12, 6}, ImageCUDA: gpu.Version{12, 6}, Require: []string{"cuda>=12.6"}, Compute: []string{"7.5", "8.0", "9.0+PTX"}},
		},
		"aarch64": {
			wheels: []Wheel{{"torch", "2.11.0", "torch-2.11.0-cp311-cp311-manylinux_2_28_aarch64.whl"}, {"cuda-toolkit", "13.0.2", ""}},
			want: Need{Torch: "2.11.0", CUDA: gpu.Version{13, 0}, Machine: "aarch64", WheelGlibc: [2]int{2, 28},
				WheelFile: "torch-2.11.0-cp311-cp311-manylinux_2_28_aarch64.whl"},
		},
	} {
		got := NeedOf(c.env, c.pins, c.wheels)
		if got.CUDA.Known() && got.Sources["CUDA"] == "" || got.CUDNN != "" && got.Sources["CUDNN"] == "" {
			t.Errorf("%s: without a source: %v", name, got.Sources)
		}
		got.Sources = nil
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, c.want)
		}
	}
}

// A CPU build is checked for nothing, wherever it runs.
func TestCPUBuildIsOnlyRemarkedOn(t *testing.T) {
	for _, n := range []Need{NeedOf(nil, nil, []Wheel{{"torch", "2.5.1+cpu", ""}}), NeedOf(nil, map[string]string{"pytorch": "2.6.0", "pytorch.from": "deb"}, nil)} {
		for _, inv := range []gpu.Inventory{t4, kepler, {Source: "none"}} {
			ps := Check(n, inv, picked(inv)...)
			if len(ps) != 1 || ps[0].ID != IDCPUBuild || ps[0].Blocks {
				t.Errorf("%+v", ps)
			}
		}
		if n.Any() {
			t.Errorf("it asks for something: %+v", n)
		}
	}
}

func FuzzNeedOf(f *testing.F) {
	f.Add("CUDA_VERSION=12.4.1", "pytorch", "2.5.1", "torch", "2.5.1+cu121", "torch-2.5.1+cu121-cp311-cp311-manylinux_2_28_x86_64.whl")
	f.Add("NVIDIA_REQUIRE_CUDA=cuda>=12.4", "cuda", "12.4", "nvidia-cuda-runtime-cu12", "12.4.127", "x-1-py3-none-manylinux2014_x86_64.whl")
	f.Add("TORCH_CUDA_ARCH_LIST=9.0a+PTX", "compute", "sm_90a,compute_8", "jaxlib", "0.4.20+cuda12.cudnn89", "%2B-%2b-.whl")
	f.Add("PYTORCH_VERSION=..", "driver", ">=", "tensorflow", "", "")
	f.Fuzz(func(t *testing.T, env, pin, value, wheel, version, file string) {
		n := NeedOf([]string{env}, map[string]string{pin: value}, []Wheel{{wheel, version, file}})
		for _, inv := range []gpu.Inventory{h200, t4, mixed} {
			for _, p := range Check(n, inv, picked(inv)...) {
				if p.ID == "" || len(p.Ways) > maxWays {
					t.Fatalf("%+v", p)
				}
			}
		}
	})
}
