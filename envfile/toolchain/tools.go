package toolchain

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// Tool is one name of [toolchain]: where it can come from, what shows that it is there, and what it
// says about itself. A new tool is a new entry in table, nothing else.
type Tool struct {
	Name      string
	Debs      []string // Debian packages that bring it; the first one's version is the tool's
	Dists     []string // Python distributions that bring it; the first one's version is the tool's
	Numbers   int      // how many numbers a whole version of a distribution has
	Kin       string   // tools of one kin come from one source, since they are built for each other
	Rides     bool     // comes with a framework, as libraries of its wheels
	Framework bool     // brings CUDA along
	CPUDeb    bool     // Debian's build of it knows no GPU
	Probes    []Probe  // the first that answers counts
	files     func(t *tree) []Finding
}

// Probe is a command that says a tool's version, to be run inside the environment. Its answer is read
// by [Tool.Read].
type Probe struct {
	Args []string
	read func(out string) string // nil: the first version in the first line
}

func python(code string) []string { return []string{"python3", "-c", code} }

// table is every tool, in the order in which claims are planned: Python before what runs on it,
// frameworks before what rides on them.
func table() []Tool {
	return []Tool{
		{Name: "python", Debs: []string{"python3"}, files: pythonFiles,
			Probes: []Probe{{Args: python("import platform; print(platform.python_version())")}}},
		{Name: "pytorch", Debs: []string{"python3-torch"}, Dists: []string{"torch"}, Numbers: 3, Kin: "pytorch", Framework: true, CPUDeb: true, files: torchFiles,
			Probes: []Probe{{Args: python("import torch; print(torch.__version__)")}}},
		{Name: "torchvision", Debs: []string{"python3-torchvision"}, Dists: []string{"torchvision"}, Numbers: 3, Kin: "pytorch", CPUDeb: true,
			Probes: []Probe{{Args: python("import torchvision; print(torchvision.__version__)")}}},
		{Name: "torchaudio", Debs: []string{"python3-torchaudio"}, Dists: []string{"torchaudio"}, Numbers: 3, Kin: "pytorch", CPUDeb: true,
			Probes: []Probe{{Args: python("import torchaudio; print(torchaudio.__version__)")}}},
		{Name: "jax", Dists: []string{"jax", "jaxlib"}, Numbers: 3, Framework: true,
			Probes: []Probe{{Args: python("import jax; print(jax.__version__)")}}},
		{Name: "tensorflow", Dists: []string{"tensorflow", "tensorflow-cpu", "tensorflow-gpu"}, Numbers: 3, Framework: true,
			Probes: []Probe{{Args: python("import tensorflow; print(tensorflow.__version__)")}}},
		{Name: "cuda", Debs: []string{"nvidia-cuda-toolkit"}, Numbers: 3, Rides: true, files: cudaFiles,
			Dists: []string{"nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12", "nvidia-cuda-runtime-cu11"},
			Probes: []Probe{
				{Args: python("import torch; print(torch.version.cuda)")},
				{Args: python("import tensorflow as t; print(t.sysconfig.get_build_info()['cuda_version'])")},
				{Args: []string{"nvcc", "--version"}, read: after("release ")}}},
		{Name: "cudnn", Numbers: 4, Rides: true, files: cudnnFiles,
			Dists: []string{"nvidia-cudnn-cu13", "nvidia-cudnn-cu12", "nvidia-cudnn-cu11"},
			Probes: []Probe{
				{Args: python("import torch; print(torch.backends.cudnn.version())"), read: cudnnNumber},
				{Args: python("import tensorflow as t; print(t.sysconfig.get_build_info()['cudnn_version'])")}}},
		{Name: "nccl", Debs: []string{"libnccl2", "libnccl-dev"}, Numbers: 3, Rides: true, files: ncclFiles,
			Dists:  []string{"nvidia-nccl-cu13", "nvidia-nccl-cu12", "nvidia-nccl-cu11"},
			Probes: []Probe{{Args: python("import torch; print('.'.join(map(str, torch.cuda.nccl.version())))")}}},
		{Name: "gcc", Debs: []string{"gcc", "g++", "libc6-dev"}, files: gccFiles, Probes: []Probe{{Args: []string{"gcc", "-dumpfullversion"}}}},
		{Name: "clang", Debs: []string{"clang"}, Probes: []Probe{{Args: []string{"clang", "--version"}}}},
		{Name: "cmake", Debs: []string{"cmake"}, Dists: []string{"cmake"}, Numbers: 3, Probes: []Probe{{Args: []string{"cmake", "--version"}}}},
		{Name: "ninja", Debs: []string{"ninja-build"}, Dists: []string{"ninja"}, Numbers: 3, Probes: []Probe{{Args: []string{"ninja", "--version"}}}},
		{Name: "make", Debs: []string{"make"}, Probes: []Probe{{Args: []string{"make", "--version"}}}},
		{Name: "node", Debs: []string{"nodejs"}, files: nodeFiles, Probes: []Probe{{Args: []string{"node", "--version"}}}},
		{Name: "rust", Debs: []string{"rustc", "cargo"}, files: rustFiles, Probes: []Probe{{Args: []string{"rustc", "--version"}}}},
		{Name: "go", Debs: []string{"golang-go"}, files: goFiles, Probes: []Probe{{Args: []string{"go", "version"}, read: after("go version go")}}},
		{Name: "git", Debs: []string{"git"}, Probes: []Probe{{Args: []string{"git", "--version"}}}},
	}
}

// Names are the names that [toolchain] can have.
func Names() []string {
	var out []string
	for _, t := range table() {
		out = append(out, t.Name)
	}
	return out
}

// Lookup finds a tool by its name.
func Lookup(name string) (Tool, bool) {
	for _, t := range table() {
		if t.Name == name {
			return t, true
		}
	}
	return Tool{}, false
}

var versionInText = lazyregexp.New(`\d+(?:\.\d+)+(?:(?:a|b|rc|\.?post|\.?dev)\d+)?(?:\+[A-Za-z0-9.]+)?|\d+`)

// Read takes the version out of what a probe of the tool printed; "" if there is none.
func (p Probe) Read(out string) string {
	line := strings.TrimSpace(out)
	if p.read != nil {
		return p.read(line)
	}
	line, _, _ = strings.Cut(line, "\n")
	return versionInText.FindString(line)
}

func after(mark string) func(string) string {
	return func(out string) string {
		_, rest, ok := strings.Cut(out, mark)
		if !ok {
			return ""
		}
		return versionInText.FindString(rest)
	}
}

// cudnnNumber reads 90100 as 9.1.0 and, before cuDNN 9, 8902 as 8.9.2.
func cudnnNumber(out string) string {
	n, err := strconv.Atoi(out)
	switch {
	case err != nil || n < 1000:
		return ""
	case n >= 90000:
		return fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100)
	}
	return fmt.Sprintf("%d.%d.%d", n/1000, n/100%10, n%100)
}
