package compat

import (
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// subject is one thing that has to run: a framework's build, or CUDA alone.
type subject struct {
	fw      *framework // nil for CUDA alone
	version string
	rel     *release // nil if not in the tables
	build   *build   // nil if not in the tables
	cuda    gpu.Version
	codes   []code // nil: not known
	checked bool   // of codes
	source  string // of codes
	name    string // "pytorch 2.5.1 with CUDA 12.4"
}

func (s subject) id(kind string) string {
	if s.fw == nil {
		return kind + "-cuda"
	}
	return kind + "-" + s.fw.Name
}

// subjects are what a need wants to run.
func subjects(n Need) []subject {
	t := facts()
	var out []subject
	if n.Torch != "" {
		out = append(out, frameworkSubject(n, t.PyTorch, n.Torch, strings.TrimPrefix(n.TorchBuild, "+")))
	}
	if n.TensorFlow != "" {
		out = append(out, frameworkSubject(n, t.TensorFlow, n.TensorFlow, "cuda"))
	}
	if n.JAX != "" {
		out = append(out, frameworkSubject(n, t.JAX, n.JAX, n.JAXBuild))
	}
	if len(out) == 0 && n.CUDA.Known() {
		s := subject{cuda: n.CUDA, name: "CUDA " + n.CUDA.String()}
		if strings.HasSuffix(n.Sources["CUDA"], "of the image") {
			s.name = "the image's CUDA " + n.CUDA.String()
		}
		if len(n.Compute) > 0 {
			s.codes, s.checked, s.source = parseCodes(n.Compute), true, n.Sources["Compute"]
		}
		out = append(out, s)
	}
	return out
}

func frameworkSubject(n Need, fw *framework, version, tag string) subject {
	s := subject{fw: fw, version: version, cuda: n.CUDA, rel: fw.release(version)}
	if s.rel != nil && n.tabled() {
		switch {
		case tag != "":
			s.build = s.rel.build(tag)
		case n.CUDA.Known():
			s.build = s.rel.forCUDA(n.CUDA)
		default:
			s.build = s.rel.build(s.rel.Default)
		}
	}
	if s.build != nil {
		s.codes, s.checked, s.source = s.build.codes, s.build.Checked, fw.Sources[s.build.Source]
		if !s.cuda.Known() {
			s.cuda = s.build.cuda
		}
	}
	if len(n.Compute) > 0 && (fw.Name == "pytorch" || n.Torch == "") {
		s.codes, s.checked, s.source = parseCodes(n.Compute), true, n.Sources["Compute"]
	}
	s.name = fw.Name + " " + version
	if s.cuda.Known() {
		s.name += " with CUDA " + s.cuda.String()
	}
	return s
}

// tabled tells whether the tables of builds are for the environment's machine.
func (n Need) tabled() bool { return n.Machine == "" || n.Machine == "x86_64" || n.Machine == "amd64" }

func (r *release) build(tag string) *build {
	for i := range r.Builds {
		if r.Builds[i].Tag == tag {
			return &r.Builds[i]
		}
	}
	return nil
}

func (r *release) forCUDA(v gpu.Version) *build {
	for i := range r.Builds {
		if r.Builds[i].cuda == v {
			return &r.Builds[i]
		}
	}
	return nil
}

// has tells whether a patch release has the build.
func (b *build) has(version string) bool { return b.Since == "" || !older(version, b.Since) }

// codeList is "3.7, 5.0 and 6.0", sorted.
func codeList(codes []code) string {
	codes = slices.Clone(codes)
	slices.SortStableFunc(codes, func(a, b code) int { return compare(a.CC[:], b.CC[:]) })
	var out []string
	for _, c := range codes {
		s := c.CC.String()
		switch {
		case c.exact:
			s += "a"
		case c.jit:
			s += " and newer"
		case c.ptx && c.sass:
			s += "+PTX"
		case c.ptx:
			s = "PTX " + s
		}
		out = append(out, s)
	}
	return and(out)
}

func and(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}
