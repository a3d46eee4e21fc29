package toolchain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/hint"
)

func TestSettle(t *testing.T) {
	torch251 := map[string]string{"torch": "2.5.1", "nvidia-cuda-runtime-cu12": "12.4.127", "nvidia-cudnn-cu12": "9.1.0.70", "nvidia-nccl-cu12": "2.21.5", "numpy": "2.1"}
	var b strings.Builder
	for _, c := range []struct {
		name, tree string
		claims     map[string]string
		locked     Locked
	}{
		{"wheels with their CUDA", "python-3.11-slim", map[string]string{"python": "3.11", "pytorch": "2.5.1", "cuda": "12.4", "cudnn": "9.1", "nccl": "auto"}, Locked{Wheels: torch251}},
		{"wheels with another CUDA", "python-3.11-slim", map[string]string{"pytorch": "2.5.1", "cuda": "12.1"}, Locked{Wheels: torch251}},
		{"wheels of PyTorch's own index", "python-3.11-slim", map[string]string{"pytorch": "2.5.1", "cuda": "12.1"}, Locked{Wheels: map[string]string{"torch": "2.5.1+cu121"}}},
		{"wheels for the CPU", "python-3.11-slim", map[string]string{"pytorch": "2.5.1", "cuda": "12.1"}, Locked{Wheels: map[string]string{"torch": "2.5.1+cpu"}}},
		{"wheels that say nothing", "python-3.11-slim", map[string]string{"pytorch": "1.7.1", "cuda": "10.2", "cudnn": "7.6"}, Locked{Wheels: map[string]string{"torch": "1.7.1"}}},
		{"the base", "pytorch-2.5.1-cuda12.4", map[string]string{"pytorch": "2.5.1", "cuda": "12.4", "cudnn": "9.1"}, Locked{Wheels: map[string]string{"numpy": "2.2"}}},
		{"the base, covered by a wheel", "pytorch-2.5.1-cuda12.4", map[string]string{"pytorch": "2.5.1"}, Locked{Wheels: map[string]string{"torch": "2.6.0"}}},
		{"packages", "trixie-minbase", map[string]string{"python": "3.13", "pytorch": "2.6", "gcc": "14"}, Locked{Debs: map[string]string{"python3": "3.13.5-1", "python3-torch": "2.6.0+dfsg-7", "gcc": "4:14.2.0-1"}}},
		{"Debian's torch of the base", "bookworm-torch", map[string]string{"pytorch": "1.13.1"}, Locked{}},
		{"a standalone Python", "trixie-minbase", map[string]string{"python": "3.12"}, Locked{Interpreter: "3.12.11"}},
		{"nothing of it", "trixie-minbase", map[string]string{"cuda": "12.4", "jax": "0.4"}, Locked{Wheels: map[string]string{"numpy": "2.2"}}},
		{"torch that something asked for", "python-3.11-slim", map[string]string{"cuda": "12.4"}, Locked{Wheels: torch251}},
	} {
		pins, errs := Settle(c.claims, Evidence{Found: Detect(FromFS(treeFS(t, c.tree))), Index: true}, c.locked)
		fmt.Fprintf(&b, "# %s\n", c.name)
		for _, k := range slices.Sorted(maps.Keys(pins)) {
			fmt.Fprintf(&b, "%s %s from %s %v\n", k, pins[k].Version, pins[k].From, pins[k].Facts)
		}
		for _, err := range errs {
			fmt.Fprintf(&b, "error: %v\n", err)
			for _, h := range hint.Of(err) {
				fmt.Fprintf(&b, "\nhint: %s\n", h)
			}
		}
		b.WriteString("\n")
	}
	golden(t, "settle.txt", b.String())
}

func TestProve(t *testing.T) {
	for _, c := range []struct {
		tree, tool, want, says string
		ok                     bool
	}{
		{"pytorch-2.5.1-cuda12.4", "pytorch", "2.5.1", "2.5.1", true},
		{"pytorch-2.5.1-cuda12.4", "pytorch", "2.5.1", "2.6.0", false},
		{"pytorch-2.5.1-cuda12.4", "pytorch", "2.5.1", "", false},
		{"pytorch-2.5.1-cuda12.4", "pytorch", "2.6", "2.5.1", false},
		{"pytorch-2.5.1-cuda12.4", "cuda", "12.4", "12.4", true},
		{"pytorch-2.5.1-cuda12.4", "cuda", "12.4.127", "12.4", true},
		{"pytorch-2.5.1-cuda12.4", "cuda", "12.1", "12.4", false},
		{"pytorch-2.5.1-cuda12.4", "cuda", "12.4", "", true},
		{"env-over-trixie", "cudnn", "9.10.2.21", "9.10.2", true},
		{"env-over-trixie", "cudnn", "9.1", "9.10.2", false},
		{"bookworm-torch", "pytorch", "1.13.1", "1.13.0a0", true},
		{"bookworm-torch", "pytorch", "1.12", "1.13.0a0", false},
		{"trixie-minbase", "gcc", "14", "", false},
		{"trixie-minbase", "clang", "19", "19.1.7", true},
	} {
		said := map[string]string{}
		if c.says != "" {
			said[c.tool] = c.says
		}
		got := Prove(map[string]string{c.tool: c.want}, Detect(FromFS(treeFS(t, c.tree))), said)
		if len(got) != 1 || got[0].OK != c.ok || got[0].OK != (got[0].Why == "") {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

func TestProbesAreRead(t *testing.T) {
	for _, c := range []struct {
		tool  string
		probe int
		out   string
		want  string
	}{
		{"python", 0, "3.11.10\n", "3.11.10"},
		{"pytorch", 0, "2.5.1+cu124\n", "2.5.1+cu124"},
		{"pytorch", 0, "1.13.0a0+gitunknown\n", "1.13.0a0+gitunknown"},
		{"cuda", 0, "12.4\n", "12.4"},
		{"cuda", 0, "None\n", ""},
		{"cuda", 2, "nvcc: NVIDIA (R) Cuda compiler driver\nCopyright (c) 2005-2024 NVIDIA Corporation\nBuilt on Thu_Mar_28_02:18:24_PDT_2024\nCuda compilation tools, release 12.4, V12.4.131\n", "12.4"},
		{"cudnn", 0, "90100\n", "9.1.0"},
		{"cudnn", 0, "8902\n", "8.9.2"},
		{"cudnn", 0, "None\n", ""},
		{"nccl", 0, "2.21.5\n", "2.21.5"},
		{"gcc", 0, "12.2.0\n", "12.2.0"},
		{"clang", 0, "Debian clang version 19.1.7 (3)\nTarget: x86_64-pc-linux-gnu\n", "19.1.7"},
		{"node", 0, "v20.11.1\n", "20.11.1"},
		{"rust", 0, "rustc 1.79.0 (129f3b996 2024-06-10)\n", "1.79.0"},
		{"go", 0, "go version go1.22.1 linux/amd64\n", "1.22.1"},
		{"git", 0, "git version 2.47.3\n", "2.47.3"},
		{"make", 0, "GNU Make 4.4.1\nBuilt for x86_64-pc-linux-gnu\n", "4.4.1"},
		{"cmake", 0, "", ""},
	} {
		tool, _ := Lookup(c.tool)
		if got := tool.Probes[c.probe].Read(c.out); got != c.want {
			t.Errorf("%s: %q gives %q, want %q", c.tool, c.out, got, c.want)
		}
	}
}

func TestTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, tool := range table() {
		if seen[tool.Name] || len(tool.Probes) == 0 || len(tool.Debs)+len(tool.Dists) == 0 || len(tool.Dists) > 0 && tool.Numbers == 0 {
			t.Errorf("%+v", tool)
		}
		seen[tool.Name] = true
		for _, d := range tool.Dists {
			if normal(d) != d {
				t.Errorf("%s: not a normal name: %s", tool.Name, d)
			}
		}
	}
	for _, f := range torchFacts() {
		mustVersion(f.torch)
		mustVersion(f.cuda)
		mustVersion(f.cudnn)
	}
	if s, v := SuiteForPython(Constraint{text: "auto"}, "trixie"); s != "trixie" || v != "3.13" {
		t.Error(s, v)
	}
}
