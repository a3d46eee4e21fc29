package envfile

import (
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// What conda packages are called elsewhere. Only those of which one can be sure: the rest is reported.
// "=" is the same name on the Python index, "apt:" a Debian package, "tool:" a claim.
func condaNames() map[string]string {
	m := map[string]string{
		"pytorch": "torch", "pytorch-gpu": "torch", "pytorch-cpu": "torch", "pytorch-lightning": "=", "tensorflow-gpu": "tensorflow",
		"opencv": "opencv-python", "py-opencv": "opencv-python", "matplotlib-base": "matplotlib", "pytables": "tables", "faiss-cpu": "=",
		"python-graphviz": "graphviz", "msgpack-python": "msgpack", "lightgbm": "=", "py-xgboost": "xgboost", "pytorch-cuda": "tool:cuda",
		"cudatoolkit": "tool:cuda", "cuda": "tool:cuda", "cuda-toolkit": "tool:cuda", "cudnn": "tool:cudnn", "nccl": "tool:nccl", "python": "tool:python",
		"nodejs": "tool:node", "go": "tool:go", "rust": "tool:rust", "cmake": "tool:cmake", "ninja": "tool:ninja", "make": "tool:make",
		"git": "apt:git", "curl": "apt:curl", "wget": "apt:wget", "ffmpeg": "apt:ffmpeg", "graphviz": "apt:graphviz", "sox": "apt:sox",
		"libsndfile": "apt:libsndfile1", "openmpi": "apt:openmpi-bin", "gcc": "tool:gcc", "gxx": "tool:gcc", "gxx_linux-64": "tool:gcc", "gcc_linux-64": "tool:gcc",
		"pip": "", "setuptools": "", "wheel": "", // there in any case
	}
	for _, same := range strings.Fields(`numpy scipy pandas matplotlib scikit-learn scikit-image seaborn torchvision torchaudio tensorflow jax
		jaxlib keras transformers datasets tokenizers accelerate huggingface_hub sentencepiece tqdm requests pyyaml h5py numba sympy networkx
		jupyter jupyterlab notebook ipython ipykernel ipywidgets pillow tensorboard tensorboardx wandb mlflow xgboost statsmodels plotly bokeh dask
		pyarrow joblib pytest black flake8 mypy cython nltk spacy gensim gym gymnasium einops omegaconf hydra-core lightning timm librosa
		soundfile albumentations click rich psutil cloudpickle protobuf sqlalchemy beautifulsoup4 lxml openpyxl xarray zarr shapely geopandas`) {
		m[same] = "="
	}
	return m
}

var condaSpec = lazyregexp.New(`^(?:[\w./-]+::)?([A-Za-z0-9_.-]+)\s*(.*)$`)

// conda reads environment.yml: its pip section as it is, and of the rest what has a known name.
func (s *suggestion) conda() {
	name := "environment.yml"
	src, ok := s.files[name]
	if !ok {
		name = "environment.yaml"
		if src, ok = s.files[name]; !ok {
			return
		}
	}
	deps, pip := condaLists(string(src))
	if len(deps)+len(pip) == 0 {
		s.note("no list of dependencies was found in %s", name)
	}
	known, unknown := condaNames(), []string{}
	for _, d := range deps {
		m := condaSpec.FindStringSubmatch(strings.TrimSpace(d))
		if m == nil {
			unknown = append(unknown, d)
			continue
		}
		to, ok := known[strings.ToLower(m[1])]
		if !ok || !s.condaPackage(name, strings.ToLower(m[1]), to, condaVersion(m[2])) {
			unknown = append(unknown, d)
		}
	}
	for _, p := range pip {
		if opt, arg := requirementOption(p); opt == "-r" || opt == "--requirement" {
			s.reqs = append(s.reqs, arg)
		} else if !s.addPackage(p) {
			unknown = append(unknown, p)
		}
	}
	if len(unknown) > 0 {
		s.note("not taken over from %s: %s", name, strings.Join(unknown, ", "))
	}
	s.reqs = slices.DeleteFunc(s.reqs, func(r string) bool { return checkInProject(r) != nil || r == "requirements.txt" })
}

func (s *suggestion) condaPackage(file, name, to, version string) bool {
	kind, rest, _ := strings.Cut(to, ":")
	switch {
	case to == "":
		return true
	case to == "tool:python":
		s.setPython(strings.TrimPrefix(version, "=="), file)
		s.usesPy = true
		return true
	case kind == "tool":
		want := or(strings.TrimPrefix(version, "=="), "auto")
		if want = strings.TrimSuffix(want, ".*"); checkTool(want) != nil {
			return false
		}
		s.tools[rest] = want
		return true
	case kind == "apt":
		s.addApt(rest)
		return true
	case to == "=":
		to = name
	}
	return s.addPackage(to + version)
}

// condaVersion turns "=1.26", "==1.26.4", "=1.26=py311_0", ">=1.2,<2" and "1.26.*" into a
// requirement's; a build is left out.
func condaVersion(v string) string {
	v = strings.ReplaceAll(strings.TrimSpace(v), " ", "")
	if v == "" || v == "*" {
		return ""
	}
	if strings.ContainsAny(v[:1], "<>!~") {
		return v
	}
	exact := strings.HasPrefix(v, "==")
	v = strings.TrimLeft(v, "=")
	v, _, build := strings.Cut(v, "=")
	if v == "" {
		return ""
	}
	if v = strings.TrimSuffix(v, ".*"); exact || build || strings.Count(v, ".") > 1 {
		return "==" + v
	}
	return "==" + v + ".*"
}

// condaLists reads the one list of an environment file that matters, in the form that conda and
// people write it: a dash a line, and one nested list below "- pip:". Other YAML finds nothing.
func condaLists(text string) (deps, pip []string) {
	section, pipIndent := "", -1
	for line := range strings.Lines(text) {
		if i := strings.Index(line, " #"); i >= 0 {
			line = line[:i]
		}
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		item, dash := strings.CutPrefix(trimmed, "-")
		if !dash {
			if indent == 0 {
				section, pipIndent = strings.TrimSuffix(trimmed, ":"), -1
			}
			continue
		}
		if section != "dependencies" {
			continue
		}
		item = strings.Trim(strings.TrimSpace(item), `"'`)
		switch {
		case item == "pip:":
			pipIndent = indent
		case pipIndent >= 0 && indent > pipIndent:
			pip = append(pip, item)
		default:
			pipIndent = -1
			deps = append(deps, item)
		}
	}
	return deps, pip
}
