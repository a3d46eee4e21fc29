package compat

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/4cc2e759/sandbox/gpu"
)

//go:embed data/*.json
var files embed.FS

// fact is where a row comes from.
type fact struct {
	Source  string `json:"source"`  // key into the file's sources
	Checked bool   `json:"checked"` // seen at its source by whoever wrote the row
}

// family is a major version of CUDA and the driver that runs all of it.
type family struct {
	Major  int    `json:"major"`
	Driver string `json:"driver"`
	fact
}

// toolkit is one CUDA version: the driver that it ships with, and the range of GPUs it makes code for.
type toolkit struct {
	CUDA    string    `json:"cuda"`
	Driver  string    `json:"driver"`
	Compute [2]string `json:"compute"`
	fact
}

// forward names the driver branches on which the compatibility libraries of a CUDA version work.
type forward struct {
	CUDA     string `json:"cuda"`
	Branches []int  `json:"branches"`
	fact
}

// generation is a family of GPUs; LastDriver is the last driver branch for it, 0 if it is still supported.
type generation struct {
	Name       string    `json:"name"`
	Compute    [2]string `json:"compute"`
	LastDriver int       `json:"last_driver"`
	fact
}

// model is a GPU by name; the compute capability is for machines where only the name is known. DataCentre
// is the source for its being a data-centre GPU: "" if it is none, "memory" if nobody looked.
type model struct {
	Name       string `json:"name"`
	Compute    string `json:"compute"`
	DataCentre string `json:"data_centre"`
	fact              // of Compute
}

// cudnnRange is the GPUs that cuDNN supports from a version on, to the next row; "" is no limit.
type cudnnRange struct {
	CUDNN   string    `json:"cudnn"`
	Compute [2]string `json:"compute"`
	fact
}

// build is one published build of a framework's release.
type build struct {
	Tag     string   `json:"tag"`     // "cu118"
	CUDA    string   `json:"cuda"`    // "11.8"
	Compute []string `json:"compute"` // see parseCode
	CUDNN   string   `json:"cudnn"`
	Install string   `json:"install"` // how it is asked for, with %s for the version; "" for torch==VERSION+TAG
	Since   string   `json:"since"`   // first patch release that has it; "" for all
	fact

	cuda  gpu.Version
	codes []code
}

// release is a minor release of a framework with its builds.
type release struct {
	Minor    string    `json:"minor"`
	Versions []string  `json:"versions"` // patch releases, oldest first
	Default  string    `json:"default"`  // tag of the build that comes without asking for another
	Python   [2]string `json:"python"`
	Glibc    string    `json:"glibc"` // of its Linux wheels
	Builds   []build   `json:"builds"`
}

func (r *release) newest() string { return r.Versions[len(r.Versions)-1] }

// framework is what is known of one framework, releases oldest first.
type framework struct {
	Name     string
	Package  string
	Releases []release
	Sources  map[string]string
}

func (f *framework) release(version string) *release {
	for i := range f.Releases {
		if f.Releases[i].Minor == minor(version) {
			return &f.Releases[i]
		}
	}
	return nil
}

type tables struct {
	Families []family
	Toolkits []toolkit
	Forward  []forward
	CUDA     map[string]string // sources

	Generations []generation
	Models      []model
	CUDNN       []cudnnRange
	GPUs        map[string]string // sources

	PyTorch, TensorFlow, JAX *framework
}

// facts reads the embedded tables at the first use; that they can be read is held by the tests.
var facts = sync.OnceValue(func() *tables {
	t, err := load()
	if err != nil {
		panic(err)
	}
	return t
})

func load() (*tables, error) {
	var cuda struct {
		Date     string            `json:"date"`
		Sources  map[string]string `json:"sources"`
		Families []family          `json:"families"`
		Toolkits []toolkit         `json:"toolkits"`
		Forward  []forward         `json:"forward"`
	}
	var gpus struct {
		Date        string            `json:"date"`
		Sources     map[string]string `json:"sources"`
		Generations []generation      `json:"generations"`
		Models      []model           `json:"models"`
		CUDNN       []cudnnRange      `json:"cudnn"`
	}
	if err := read("cuda.json", &cuda); err != nil {
		return nil, err
	}
	if err := read("gpus.json", &gpus); err != nil {
		return nil, err
	}
	t := &tables{Families: cuda.Families, Toolkits: cuda.Toolkits, Forward: cuda.Forward, CUDA: dated(cuda.Sources, cuda.Date),
		Generations: gpus.Generations, Models: gpus.Models, CUDNN: gpus.CUDNN, GPUs: dated(gpus.Sources, gpus.Date)}
	for _, f := range []struct {
		file, name, pkg string
		to              **framework
	}{{"pytorch.json", "pytorch", "torch", &t.PyTorch}, {"tensorflow.json", "tensorflow", "tensorflow", &t.TensorFlow}, {"jax.json", "jax", "jax", &t.JAX}} {
		fw, err := loadFramework(f.file)
		if err != nil {
			return nil, err
		}
		fw.Name, fw.Package = f.name, f.pkg
		*f.to = fw
	}
	return t, nil
}

func loadFramework(file string) (*framework, error) {
	var doc struct {
		Date     string            `json:"date"`
		Sources  map[string]string `json:"sources"`
		Releases []release         `json:"releases"`
	}
	if err := read(file, &doc); err != nil {
		return nil, err
	}
	for _, r := range doc.Releases {
		if len(r.Versions) == 0 {
			return nil, fmt.Errorf("%s: release without versions: %s", file, r.Minor)
		}
		for i := range r.Builds {
			b := &r.Builds[i]
			b.cuda, b.codes = cudaVersion(b.CUDA), parseCodes(b.Compute)
			if !b.cuda.Known() || len(b.codes) != len(b.Compute) || doc.Sources[b.Source] == "" {
				return nil, fmt.Errorf("%s: bad build of release %s: %s", file, r.Minor, b.Tag)
			}
		}
	}
	return &framework{Releases: doc.Releases, Sources: dated(doc.Sources, doc.Date)}, nil
}

func read(name string, to any) error {
	b, err := files.ReadFile("data/" + name)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return fmt.Errorf("reading the table: %w: %s", err, name)
	}
	return nil
}

// dated adds the day on which the sources were looked at.
func dated(sources map[string]string, date string) map[string]string {
	out := map[string]string{}
	for k, v := range sources {
		out[k] = v + " (" + date + ")"
	}
	return out
}
