package toolchain

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

const dpkgStatus = "/var/lib/dpkg/status"

// dpkg lists the installed Debian packages. Images without dpkg keep one file a package in status.d.
func (t *tree) dpkg() map[string]string {
	out := map[string]string{}
	b, _ := t.r.ReadFile(dpkgStatus, 64<<20)
	parseStatus(string(b), out, false)
	for _, name := range t.names("/var/lib/dpkg/status.d", "*") {
		if !strings.HasSuffix(name, ".md5sums") {
			parseStatus(t.text("/var/lib/dpkg/status.d/"+name), out, true)
		}
	}
	return out
}

func parseStatus(text string, out map[string]string, all bool) {
	var name, version string
	installed := all
	end := func() {
		if name != "" && version != "" && installed {
			out[name] = version
		}
		name, version, installed = "", "", all
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			end()
			continue
		}
		switch key, v, _ := strings.Cut(line, ":"); key {
		case "Package":
			name = strings.TrimSpace(v)
		case "Version":
			version = strings.TrimSpace(v)
		case "Status":
			installed = strings.HasSuffix(v, " installed")
		}
	}
	end()
}

type condaPackage struct{ name, version, build, file string }

// parseConda splits "pytorch-2.5.1-py3.11_cuda12.4_cudnn9.1.0_0.json".
func parseConda(file string) (condaPackage, bool) {
	s, ok := strings.CutSuffix(file, ".json")
	i := strings.LastIndexByte(s, '-')
	if !ok || i < 0 {
		return condaPackage{}, false
	}
	j := strings.LastIndexByte(s[:i], '-')
	if j <= 0 {
		return condaPackage{}, false
	}
	return condaPackage{name: s[:j], version: s[j+1 : i], build: s[i+1:], file: file}, true
}

// condaPackages are those beside the interpreter.
func (t *tree) condaPackages() map[string]condaPackage {
	out := map[string]condaPackage{}
	if t.found.Python.Path == "" {
		return out
	}
	dir := path.Join(path.Dir(path.Dir(t.found.Python.Path)), "conda-meta")
	for _, name := range t.names(dir, "*.json") {
		if p, ok := parseConda(name); ok {
			p.file = path.Join(dir, name)
			out[p.name] = p
		}
	}
	return out
}

func (t *tree) condaVersion(names ...string) []Finding {
	var out []Finding
	for _, n := range names {
		if p, ok := t.conda[n]; ok {
			out = append(out, Finding{Version: p.version, At: p.file, From: "conda"})
		}
	}
	return out
}

var (
	torchVersion = lazyregexp.New(`(?m)^__version__(?:\s*:[^=\n]*)?\s*=\s*['"]([^'"\n]+)['"]`)
	torchCUDA    = lazyregexp.New(`(?m)^cuda(?:\s*:[^=\n]*)?\s*=\s*['"]([^'"\n]+)['"]`)
)

// torchModule is the version.py of the torch that Python imports.
func (t *tree) torchModule() (file, text string) {
	for _, site := range t.found.Python.Sites {
		file = path.Join(site, "torch/version.py")
		if text = t.text(file); text != "" {
			return file, text
		}
	}
	return "", ""
}

func torchFiles(t *tree) []Finding {
	tool, _ := Lookup("pytorch")
	out := t.dists(tool)
	if file, text := t.torchModule(); len(out) == 0 && text != "" {
		if m := torchVersion.FindStringSubmatch(text); m != nil {
			out = append(out, Finding{Version: m[1], At: file, From: "file"})
		}
	}
	return append(out, t.condaVersion("pytorch")...)
}

func cudaFiles(t *tree) []Finding {
	var out []Finding
	if file, text := t.torchModule(); text != "" {
		if m := torchCUDA.FindStringSubmatch(text); m != nil {
			out = append(out, Finding{Version: m[1], At: file, From: "file", With: "pytorch"})
		}
	}
	tool, _ := Lookup("cuda")
	out = append(out, t.dists(tool)...)
	out = append(out, t.condaVersion("cuda-cudart", "cudatoolkit")...)
	out = append(out, t.cudaToolkit()...)
	return append(out, t.debMatching(`^cuda-cudart-\d+-\d+$|^libcudart\d+$`)...)
}

// cudaToolkit is NVIDIA's own installation in /usr/local.
func (t *tree) cudaToolkit() []Finding {
	dirs := []string{"/usr/local/cuda"}
	for _, d := range t.names("/usr/local", "cuda-*") {
		dirs = append(dirs, "/usr/local/"+d)
	}
	var out []Finding
	for _, dir := range dirs {
		var v struct {
			CUDA struct{ Version string }
		}
		file := path.Join(dir, "version.json")
		if json.Unmarshal([]byte(t.text(file)), &v) == nil && v.CUDA.Version != "" {
			out = append(out, Finding{Version: v.CUDA.Version, At: file, From: "file"})
		} else if m := regexp.MustCompile(`CUDA Version (\d+(?:\.\d+)+)`).FindStringSubmatch(t.text(path.Join(dir, "version.txt"))); m != nil {
			out = append(out, Finding{Version: m[1], At: path.Join(dir, "version.txt"), From: "file"})
		}
	}
	return out
}

func (t *tree) debMatching(pattern string) []Finding {
	re := regexp.MustCompile(pattern)
	var out []Finding
	for name, v := range t.found.Debs {
		if re.MatchString(name) {
			out = append(out, Finding{Version: Upstream(v), At: dpkgStatus, From: "deb"})
		}
	}
	sortFindings(out)
	return out
}

func cudnnFiles(t *tree) []Finding {
	tool, _ := Lookup("cudnn")
	out := t.dists(tool)
	if p, ok := t.conda["pytorch"]; ok { // conda's PyTorch has cuDNN inside and says so in its build's name
		if m := regexp.MustCompile(`cudnn(\d+(?:\.\d+)*)`).FindStringSubmatch(p.build); m != nil {
			out = append(out, Finding{Version: m[1], At: p.file, From: "conda", With: "pytorch"})
		}
	}
	out = append(out, t.condaVersion("cudnn")...)
	for _, dir := range t.includes() {
		for _, h := range []string{"cudnn_version.h", "cudnn_version_v9.h", "cudnn_version_v8.h", "cudnn.h"} {
			out = append(out, t.header(path.Join(dir, h), "CUDNN_MAJOR", "CUDNN_MINOR", "CUDNN_PATCHLEVEL")...)
		}
	}
	return append(out, t.debMatching(`^libcudnn\d+(-cuda-\d+)?$`)...)
}

func ncclFiles(t *tree) []Finding {
	tool, _ := Lookup("nccl")
	out := append(t.dists(tool), t.condaVersion("nccl")...)
	for _, dir := range t.includes() {
		out = append(out, t.header(path.Join(dir, "nccl.h"), "NCCL_MAJOR", "NCCL_MINOR", "NCCL_PATCH")...)
	}
	return out
}

func (t *tree) includes() []string {
	out := []string{"/usr/include", "/usr/local/cuda/include", "/usr/local/include"}
	for _, d := range t.names("/usr/include", "*-linux-gnu") {
		out = append(out, "/usr/include/"+d)
	}
	return out
}

// header reads a version from three #define lines.
func (t *tree) header(file string, names ...string) []Finding {
	text := t.text(file)
	var v []string
	for _, n := range names {
		m := regexp.MustCompile(`(?m)^\s*#\s*define\s+` + n + `\s+(\d+)\b`).FindStringSubmatch(text)
		if m == nil {
			return nil
		}
		v = append(v, m[1])
	}
	return []Finding{{Version: strings.Join(v, "."), At: file, From: "file"}}
}

func gccFiles(t *tree) []Finding {
	var out []Finding
	for _, arch := range t.names("/usr/local/lib/gcc", "*") { // an own build, as in image gcc
		for _, v := range t.names("/usr/local/lib/gcc/"+arch, "[0-9]*") {
			out = append(out, Finding{Version: v, At: "/usr/local/lib/gcc/" + arch + "/" + v, From: "file"})
		}
	}
	return out
}

func nodeFiles(t *tree) []Finding {
	return t.header("/usr/local/include/node/node_version.h", "NODE_MAJOR_VERSION", "NODE_MINOR_VERSION", "NODE_PATCH_VERSION")
}

func goFiles(t *tree) []Finding {
	if v, ok := strings.CutPrefix(t.text("/usr/local/go/VERSION"), "go"); ok {
		return []Finding{{Version: versionInText.FindString(v), At: "/usr/local/go/VERSION", From: "file"}}
	}
	return nil
}

func rustFiles(t *tree) []Finding {
	var out []Finding
	for _, n := range t.names("/usr/local/rustup/toolchains", "[0-9]*") {
		v, _, _ := strings.Cut(n, "-")
		out = append(out, Finding{Version: v, At: "/usr/local/rustup/toolchains/" + n, From: "file"})
	}
	return out
}
