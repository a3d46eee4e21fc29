package compat

import (
	"slices"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// NeedOf reads an environment's need from what a lock and the image's configuration say; no layer is
// looked at. env is the image's environment ("NAME=value"); pins are the toolchain's versions by name
// ("pytorch", "tensorflow", "jax", "cuda", "cudnn", "python"), with what the locked framework says about
// itself ("driver", "compute", a list divided by commas or spaces) and where it comes from
// ("pytorch.from": "wheel", "deb", "base"); wheels are the locked ones. Where they differ, wheels count
// more than pins and pins more than the image.
func NeedOf(env []string, pins map[string]string, wheels []Wheel) Need {
	r := reading{Need: Need{Sources: map[string]string{}}, env: environ(env), pins: pins, wheels: map[string]Wheel{}}
	for _, w := range wheels {
		r.wheels[normal(w.Name)] = w
	}
	r.libraries()
	r.torch()
	r.tensorflow()
	r.jax()
	r.image()
	r.rest()
	return r.Need
}

type reading struct {
	Need
	env    map[string]string
	pins   map[string]string
	wheels map[string]Wheel
}

// environ is the environment by name; the last of two counts.
func environ(list []string) map[string]string {
	out := map[string]string{}
	for _, e := range list {
		if k, v, ok := strings.Cut(e, "="); ok {
			out[k] = v
		}
	}
	return out
}

// normal is a project's name as indexes compare it.
func normal(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
}

// libraries reads the wheels of NVIDIA's libraries. Up to CUDA 12 their names end in the CUDA version;
// from 13 on most do not.
func (r *reading) libraries() {
	major, source := 0, ""
	for _, name := range sorted(r.wheels) {
		w := r.wheels[name]
		base, suffix := cutCUDA(name)
		switch base {
		case "nvidia-cuda-runtime", "cuda-toolkit":
			if v := cudaVersion(w.Version); r.CUDA.Less(v) {
				r.CUDA, r.Sources["CUDA"] = v, name+" "+w.Version
			}
		case "nvidia-cudnn":
			r.CUDNN, r.Sources["CUDNN"] = w.Version, name+" "+w.Version
			fallthrough
		case "nvidia-cublas", "nvidia-cuda-nvrtc":
			if suffix > major {
				major, source = suffix, name+" "+w.Version
			}
		}
	}
	if major > 0 {
		r.atLeast(major, source)
	}
}

// atLeast is for locks where only the major version of CUDA shows.
func (r *reading) atLeast(major int, source string) {
	if !r.CUDA.Known() {
		r.CUDA = gpu.Version{major, 0}
		r.Sources["CUDA"] = source
	}
}

// cutCUDA divides "nvidia-cudnn-cu12" into the name and 12; 0 where it does not say.
func cutCUDA(name string) (base string, major int) {
	i := strings.LastIndex(name, "-cu")
	if i < 0 {
		return name, 0
	}
	n, err := strconv.Atoi(name[i+3:])
	if err != nil || n < 1 || n > 99 {
		return name, 0
	}
	return name[:i], n
}

func (r *reading) torch() {
	version, file, from := r.pins["pytorch"], "", r.pins["pytorch.from"]
	w, isWheel := r.wheels["torch"]
	if isWheel {
		version, file = w.Version, w.File
	} else if version == "" {
		r.torchOfImage()
		return
	}
	version, local, _ := strings.Cut(version, "+")
	if local == "" {
		local = localOf(file)
	}
	name := "pytorch " + version
	switch {
	case local == "cpu" || strings.HasPrefix(local, "cpu."), from == "deb" && !isWheel && r.pins["cuda"] == "":
		// Debian's python3-torch is built without CUDA.
		if local != "" {
			name += "+" + local
		}
		r.CPUBuilds = append(r.CPUBuilds, name)
		return
	case strings.HasPrefix(local, "rocm"), strings.HasPrefix(local, "xpu"):
		r.OtherBuilds = append(r.OtherBuilds, name+"+"+local)
		return
	}
	tag, _, _ := strings.Cut(local, ".")
	r.Torch, r.Sources["Torch"] = version, "toolchain"
	if isWheel {
		r.Sources["Torch"] = strings.TrimSpace("torch " + w.Version)
	}
	if v, ok := tagVersion(tag); ok {
		r.TorchBuild = "+" + tag
		if !r.CUDA.Known() {
			r.CUDA, r.Sources["CUDA"] = v, "torch "+version+"+"+tag
		}
	}
	if strings.Contains(file, "aarch64") {
		r.Machine = "aarch64"
	} else if isWheel && !r.CUDA.Known() {
		// The libraries are inside the wheel, as in all before 1.13.
		if rel := facts().PyTorch.release(version); rel != nil {
			if b := rel.build(rel.Default); b != nil {
				r.CUDA, r.Sources["CUDA"] = b.cuda, "torch "+version
			}
		}
	}
}

// torchOfImage reads what images with PyTorch say of it. A version with a local part is somebody's own
// build, of which only the list of GPUs counts.
func (r *reading) torchOfImage() {
	if v := r.env["PYTORCH_VERSION"]; isVersion(v) {
		r.Torch, r.Sources["Torch"] = v, "PYTORCH_VERSION of the image"
	}
	if list := r.env["TORCH_CUDA_ARCH_LIST"]; list != "" && len(list) < 1024 && r.env["PYTORCH_VERSION"] != "" {
		r.Compute = splitList(list)
		r.Sources["Compute"] = "TORCH_CUDA_ARCH_LIST of the image"
	}
}

// localOf is the local part of the version in a wheel's file name.
func localOf(file string) string {
	f := strings.SplitN(strings.ReplaceAll(strings.ReplaceAll(file, "%2B", "+"), "%2b", "+"), "-", 3)
	if len(f) < 3 {
		return ""
	}
	_, local, _ := strings.Cut(f[1], "+")
	return local
}

// tagVersion reads "cu121" and "cu92"; the last digit is the minor version.
func tagVersion(tag string) (gpu.Version, bool) {
	d, ok := strings.CutPrefix(tag, "cu")
	if !ok || len(d) < 2 || len(d) > 3 {
		return gpu.Version{}, false
	}
	n, err := strconv.Atoi(d)
	if err != nil || n < 10 {
		return gpu.Version{}, false
	}
	return gpu.Version{n / 10, n % 10}, true
}

func (r *reading) tensorflow() {
	version := r.pins["tensorflow"]
	if w, ok := r.wheels["tensorflow-cpu"]; ok {
		r.CPUBuilds = append(r.CPUBuilds, "tensorflow-cpu "+w.Version)
		return
	}
	w, isWheel := r.wheels["tensorflow"]
	if isWheel {
		version = w.Version
	}
	if version == "" {
		return
	}
	if isWheel && !r.CUDA.Known() && r.env["CUDA_VERSION"] == "" && r.pins["cuda"] == "" {
		// Its wheel has no CUDA libraries inside and runs on the CPU where it finds none.
		r.CPUBuilds = append(r.CPUBuilds, "tensorflow "+version+" without the CUDA libraries")
		return
	}
	r.TensorFlow, r.Sources["TensorFlow"] = version, "tensorflow "+version
}

func (r *reading) jax() {
	version := r.pins["jax"]
	if w, ok := r.wheels["jax"]; ok {
		version = w.Version
	} else if w, ok := r.wheels["jaxlib"]; ok && version == "" {
		version = w.Version
	}
	if version == "" {
		return
	}
	version, _, _ = strings.Cut(version, "+")
	tag := ""
	for _, name := range []string{"jax-cuda12-plugin", "jax-cuda13-plugin"} {
		if _, ok := r.wheels[name]; ok {
			tag = strings.TrimSuffix(strings.TrimPrefix(name, "jax-"), "-plugin")
		}
	}
	if w, ok := r.wheels["jaxlib"]; ok && tag == "" { // "0.4.20+cuda12.cudnn89"
		if _, local, ok := strings.Cut(w.Version, "+"); ok && strings.HasPrefix(local, "cuda") {
			tag, _, _ = strings.Cut(local, ".")
		}
	}
	if tag == "" {
		if len(r.wheels) > 0 {
			r.CPUBuilds = append(r.CPUBuilds, "jax "+version+" without a CUDA plugin")
		}
		return
	}
	r.JAX, r.JAXBuild, r.Sources["JAX"] = version, tag, "jax "+version
	if n, err := strconv.Atoi(strings.TrimPrefix(tag, "cuda")); err == nil && n < 100 {
		r.atLeast(n, "jax "+version+" for "+tag)
	}
}

// image reads what the image's environment asks for.
func (r *reading) image() {
	r.ImageCUDA = cudaVersion(r.env["CUDA_VERSION"])
	if off, _ := strconv.ParseBool(r.env["NVIDIA_DISABLE_REQUIRE"]); !off {
		for _, name := range sorted(r.env) {
			if strings.HasPrefix(name, "NVIDIA_REQUIRE_") && !strings.HasPrefix(name, "NVIDIA_REQUIRE_JETPACK") && strings.TrimSpace(r.env[name]) != "" {
				r.Require = append(r.Require, r.env[name])
			}
		}
		if r.env["NVIDIA_REQUIRE_CUDA"] == "" && r.ImageCUDA.Known() {
			// Images from before NVIDIA_REQUIRE_CUDA mean this by CUDA_VERSION.
			r.Require = append(r.Require, "cuda>="+r.ImageCUDA.String())
		}
	}
	if r.CUDA.Known() || len(r.CPUBuilds)+len(r.OtherBuilds) > 0 {
		return
	}
	if v := cudaVersion(r.pins["cuda"]); v.Known() {
		r.CUDA, r.Sources["CUDA"] = v, "toolchain"
	} else if r.ImageCUDA.Known() {
		r.CUDA, r.Sources["CUDA"] = r.ImageCUDA, "CUDA_VERSION of the image"
	}
}

func (r *reading) rest() {
	if r.CUDNN == "" {
		for _, from := range []struct{ value, source string }{{r.pins["cudnn"], "toolchain"},
			{r.env["NV_CUDNN_VERSION"], "NV_CUDNN_VERSION of the image"}, {r.env["CUDNN_VERSION"], "CUDNN_VERSION of the image"}} {
			if _, ok := numbers(from.value); ok && len(r.CPUBuilds) == 0 {
				r.CUDNN, r.Sources["CUDNN"] = from.value, from.source
				break
			}
		}
	}
	if list := r.pins["compute"]; list != "" {
		r.Compute, r.Sources["Compute"] = splitList(list), "lock"
	}
	if d := strings.TrimSpace(strings.TrimLeft(r.pins["driver"], ">= ")); isVersion(d) {
		r.Driver, r.Sources["Driver"] = d, "lock"
	}
	r.Python = r.pins["python"]
	for _, name := range sorted(r.wheels) {
		if g, ok := fileGlibc(r.wheels[name].File); ok && compare(g[:], r.WheelGlibc[:]) > 0 {
			r.WheelGlibc, r.WheelFile = g, r.wheels[name].File
		}
	}
}

// splitList divides at commas, semicolons and spaces.
func splitList(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ';' || c == ' ' })
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
