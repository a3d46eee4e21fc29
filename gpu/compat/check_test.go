package compat

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
)

var update = flag.Bool("update", false, "write the golden files anew")

// have is a machine with the given GPUs: "NVIDIA H200=9.0".
func have(driver, cuda string, gpus ...string) gpu.Inventory {
	inv := gpu.Inventory{Source: "nvml", Driver: driver, Module: driver, CUDA: cudaVersion(cuda)}
	for i, g := range gpus {
		name, cc, _ := strings.Cut(g, "=")
		d := gpu.Device{Index: i, Minor: i, UUID: fmt.Sprintf("GPU-%d", i), Name: name}
		if c, ok := parseCode(cc); ok {
			d.CC = c.CC
		}
		inv.Devices = append(inv.Devices, d)
	}
	return inv
}

func picked(inv gpu.Inventory) []gpu.Pick {
	var out []gpu.Pick
	for _, d := range inv.Devices {
		out = append(out, gpu.Pick{Device: d})
	}
	return out
}

var (
	h200    = have("580.95.05", "13.0", "NVIDIA H200=9.0")
	h100    = have("535.261.03", "12.2", "NVIDIA H100 80GB HBM3=9.0")
	rtx4090 = have("550.144.03", "12.4", "NVIDIA GeForce RTX 4090=8.9")
	rtx3090 = have("550.144.03", "12.4", "NVIDIA GeForce RTX 3090=8.6")
	t4      = have("470.82.01", "11.4", "Tesla T4=7.5")
	v100    = have("580.95.05", "13.0", "Tesla V100-SXM2-16GB=7.0")
	pascal  = have("580.95.05", "13.0", "NVIDIA GeForce GTX 1080 Ti=6.1")
	kepler  = have("470.256.02", "11.4", "NVIDIA GeForce GTX 780=3.5")
	k80     = have("470.256.02", "11.4", "Tesla K80=3.7")
	b200    = have("580.95.05", "13.0", "NVIDIA B200=10.0")
	rtx5090 = have("580.95.05", "13.0", "NVIDIA GeForce RTX 5090=12.0")
	mixed   = have("580.95.05", "13.0", "NVIDIA H200=9.0", "Tesla V100-SXM2-16GB=7.0")
)

func blog(pytorch string) Need {
	return NeedOf(nil, map[string]string{"pytorch": pytorch, "cuda": "10.1", "cudnn": "7", "pytorch.from": "base"}, nil)
}

func torch(version string, cudaWheel ...string) Need {
	wheels := []Wheel{{Name: "torch", Version: version}}
	for _, w := range cudaWheel {
		name, v, _ := strings.Cut(w, "==")
		wheels = append(wheels, Wheel{Name: name, Version: v})
	}
	return NeedOf(nil, map[string]string{"python": "3.11.9"}, wheels)
}

const require124 = "cuda>=12.4 brand=tesla,driver>=470,driver<471 brand=unknown,driver>=470,driver<471 brand=nvidia,driver>=470,driver<471 brand=geforce,driver>=535,driver<536 brand=geforcertx,driver>=535,driver<536 brand=tesla,driver>=525,driver<526 brand=tesla,driver>=535,driver<536"

func image(env ...string) Need { return NeedOf(env, nil, nil) }

// cases are the needs and machines whose messages are in testdata/messages.golden.
func cases() []struct {
	name string
	need Need
	have gpu.Inventory
} {
	glibc := torch("2.7.1", "nvidia-cuda-runtime-cu12==12.6.77")
	glibc.WheelGlibc, glibc.WheelFile, glibc.Glibc = [2]int{2, 28}, "torch-2.7.1-cp311-cp311-manylinux_2_28_x86_64.whl", [2]int{2, 24}
	glibc.DriverGlibc, glibc.DriverFile = [2]int{2, 27}, "libcuda.so.1"
	cpu := NeedOf(nil, nil, []Wheel{{Name: "torch", Version: "2.5.1+cpu"}})
	torchIn124 := NeedOf([]string{"CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA=" + require124}, nil, []Wheel{{Name: "torch", Version: "2.5.1"}, {Name: "nvidia-cuda-runtime-cu12", Version: "12.4.127"}})
	wsl := have("551.61", "12.4", "NVIDIA GeForce RTX 4090=8.9")
	wsl.Source, wsl.Module = "wsl", ""
	return []struct {
		name string
		need Need
		have gpu.Inventory
	}{
		{"pytorch 1.7, CUDA 10.1, cuDNN 7 on an H200 with driver 580", blog("1.7"), h200},
		{"the same as 1.7.0", blog("1.7.0"), h200},
		{"pytorch 1.7, CUDA 10.1, cuDNN 7 on an RTX 4090", blog("1.7"), rtx4090},
		{"pytorch 1.7.0, CUDA 10.1 on an RTX 4090", blog("1.7.0"), rtx4090},
		{"pytorch 1.7, CUDA 10.1 on an RTX 3090", blog("1.7"), rtx3090},
		{"torch 2.5.1 for CUDA 12.4 on a T4 with driver 470", torch("2.5.1", "nvidia-cuda-runtime-cu12==12.4.127", "nvidia-cudnn-cu12==9.1.0.70"), t4},
		{"torch 2.11 for CUDA 13.0 on a V100", torch("2.11.0", "nvidia-cuda-runtime==13.0.96", "cuda-toolkit==13.0.2"), v100},
		{"torch 2.15 on a V100", torch("2.15.0", "cuda-toolkit==13.2.2"), v100},
		{"torch 2.8 for CUDA 12.8 on a Pascal with driver 580", torch("2.8.0", "nvidia-cuda-runtime-cu12==12.8.90"), pascal},
		{"torch 2.5.1 on a Pascal with driver 590", torch("2.5.1", "nvidia-cuda-runtime-cu12==12.4.127"), have("590.44.01", "13.1", "NVIDIA GeForce GTX 1080 Ti=6.1")},
		{"torch 2.5.1+cu118 on a GTX 780 (Kepler) with driver 470", torch("2.5.1+cu118"), kepler},
		{"torch 2.5.1 for CUDA 12.4 on a GTX 780 with driver 470", torch("2.5.1", "nvidia-cuda-runtime-cu12==12.4.127"), kepler},
		{"torch 2.5.1 for CUDA 12.4 on a K80 with driver 470", torch("2.5.1", "nvidia-cuda-runtime-cu12==12.4.127", "nvidia-cudnn-cu12==9.1.0.70"), k80},
		{"torch 2.5.1 on a B200", torch("2.5.1", "nvidia-cuda-runtime-cu12==12.4.127"), b200},
		{"torch 2.5.1 on an RTX 5090", torch("2.5.1", "nvidia-cuda-runtime-cu12==12.4.127"), rtx5090},
		{"torch 2.11 for CUDA 13.0 on an H100 with driver 535", torch("2.11.0", "cuda-toolkit==13.0.2"), h100},
		{"torch 2.7.1+cu128 (unchecked) on a V100", torch("2.7.1+cu128"), v100},
		{"torch 2.11 on a machine with an H200 and a V100, none picked", torch("2.11.0", "cuda-toolkit==13.0.2"), mixed},
		{"a CUDA 12.4 image on a T4 with driver 470", image("CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA="+require124), t4},
		{"a CUDA 12.4 image on an RTX 2080 with driver 470", image("CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA="+require124), have("470.82.01", "11.4", "NVIDIA GeForce RTX 2080=7.5")},
		{"a CUDA 12.4 image on an RTX 4090 with driver 530", image("CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA="+require124), have("530.30.02", "12.1", "NVIDIA GeForce RTX 4090=8.9")},
		{"a CUDA 13.0 image on a V100", image("CUDA_VERSION=13.0.2"), v100},
		{"a legacy CUDA 10.1 image on an H200", image("CUDA_VERSION=10.1.243", "CUDNN_VERSION=7.6.5.32"), h200},
		{"an image that wants another brand", image("NVIDIA_REQUIRE_GPU=brand=tesla", "NVIDIA_REQUIRE_ARCH=arch>=8.0"), have("550.144.03", "12.4", "NVIDIA GeForce GTX 1660=7.5")},
		{"an image with a broken requirement", image("NVIDIA_REQUIRE_CUDA=cuda"), h200},
		{"tensorflow 2.18 on a T4 with driver 470", NeedOf(nil, nil, []Wheel{{Name: "tensorflow", Version: "2.18.0"}, {Name: "nvidia-cuda-runtime-cu12", Version: "12.5.82"}}), t4},
		{"tensorflow 2.17 on an RTX 5090", NeedOf(nil, nil, []Wheel{{Name: "tensorflow", Version: "2.17.0"}, {Name: "nvidia-cuda-runtime-cu12", Version: "12.3.101"}}), rtx5090},
		{"tensorflow 2.18, only PTX for an H100, with driver 525", NeedOf(nil, nil, []Wheel{{Name: "tensorflow", Version: "2.18.0"}, {Name: "nvidia-cuda-runtime-cu12", Version: "12.5.82"}}), have("525.147.05", "12.0", "NVIDIA H100 PCIe=9.0")},
		{"tensorflow 2.14 on an H100", NeedOf(nil, nil, []Wheel{{Name: "tensorflow", Version: "2.14.0"}, {Name: "nvidia-cuda-runtime-cu11", Version: "11.8.89"}}), h100},
		{"torch 2.5.1 wheels for CUDA 12.4 in a CUDA 12.4 image on a T4 with driver 470", torchIn124, t4},
		{"torch 2.5.1 wheels for CUDA 12.4 in a CUDA 12.4 image on a GeForce with driver 470", torchIn124, have("470.82.01", "11.4", "NVIDIA GeForce RTX 3080=8.6")},
		{"jax for CUDA 13 on an H100 with driver 535", NeedOf(nil, nil, []Wheel{{Name: "jax", Version: "0.9.2"}, {Name: "jax-cuda13-plugin", Version: "0.9.2"}, {Name: "nvidia-cuda-runtime", Version: "13.0.96"}}), h100},
		{"jax for CUDA 13 on a V100", NeedOf(nil, nil, []Wheel{{Name: "jax", Version: "0.9.2"}, {Name: "jax_cuda13_plugin", Version: "0.9.2"}}), v100},
		{"wheels and driver files that need a newer glibc", glibc, h200},
		{"a CPU build", cpu, h200},
		{"torch 2.11 under WSL2 with a driver for CUDA 12.4", torch("2.11.0", "cuda-toolkit==13.0.2"), wsl},
		{"CUDA 9.2 alone with driver 390", NeedOf(nil, map[string]string{"cuda": "9.2"}, nil), have("390.157", "9.1", "NVIDIA GeForce GTX 1080=6.1")},
		{"an unknown framework build for CUDA 13 on a Pascal", NeedOf(nil, map[string]string{"pytorch": "3.1", "cuda": "13.0"}, nil), pascal},
		{"a lock that names a driver", NeedOf(nil, map[string]string{"cuda": "12.4", "driver": ">=560.28.03"}, nil), rtx4090},
		{"cuDNN 9 on a K80", NeedOf(nil, map[string]string{"cuda": "11.8", "cudnn": "9.1.0"}, nil), k80},
	}
}

func TestMessages(t *testing.T) {
	var b strings.Builder
	for _, c := range cases() {
		var picks []gpu.Pick
		if !strings.Contains(c.name, "none picked") {
			picks = picked(c.have)
		}
		fmt.Fprintf(&b, "== %s\n", c.name)
		ps := Check(c.need, c.have, picks...)
		if len(ps) == 0 {
			b.WriteString("nothing\n")
		}
		for _, p := range ps {
			word := "remark"
			if p.Blocks {
				word = "refused"
			}
			fmt.Fprintf(&b, "%s [%s]: %s\n  need: %s\n  have: %s\n", word, p.ID, p.Text, p.Need, p.Have)
			for _, w := range p.Ways {
				fmt.Fprintf(&b, "  way: %s\n", w)
			}
		}
		b.WriteByte('\n')
	}
	const golden = "testdata/messages.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, old := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(old)) {
		g, w := "", ""
		if i < len(got) {
			g = got[i]
		}
		if i < len(old) {
			w = old[i]
		}
		if g != w {
			t.Fatalf("%s:%d: %q, want %q (go test -update writes it anew)", golden, i+1, g, w)
		}
	}
}
