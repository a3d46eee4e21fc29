package gputest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// Kinds of device nodes that a [Machine] has.
const (
	NodesReal = "real" // made by mknod, 195:N and the like; opening them says ENXIO, for there is no driver
	NodesNull = "null" // links to /dev/null: a stat says character device 1:3, and they can be bound
)

// Machine is one that is not there. Everything lies below Dir, which everybody can enter and read.
type Machine struct {
	Name   string
	Dir    string
	Roots  gpu.Roots
	Driver string // version of the driver's files
	Module string // version of the loaded module; "" where none can be read
	LibDir string // folder of libcuda, as the machine names it: "/usr/lib64"; "" without a driver
	Nodes  string // NodesReal for root, NodesNull for everybody else

	// Env makes the fake NVML answer for this machine wherever its library lies; without it the library
	// reads fake_nvml.conf beside itself.
	Env []string
	// Inventory is what probing it with NVML gives, but for Warnings; for the broken ones, what can be had.
	Inventory gpu.Inventory
	// Hardware is what the fake NVML says. Change it and call WriteConf: the next probe sees that.
	Hardware gpu.Inventory

	init int    // what nvmlInit answers
	hang string // where NVML hangs
	lost []int  // indexes of GPUs that NVML answers 15 for
}

// Names lists the machines: whole ones first, then broken ones.
func Names() []string { return append(Whole(), Broken()...) }

// Whole lists the machines that work.
func Whole() []string {
	return []string{"h100x8", "h200", "a100-mig", "t4-470", "laptop-ubuntu2404", "wsl2", "gke"}
}

// Broken lists those where something is wrong: the two-GPU server with libraries newer than the module,
// without /dev/nvidia-uvm, with a lost GPU, with the GPUs but no driver, with nodes that only a group may
// open, with an NVML that hangs, that lacks functions, or that says NVML_ERROR_UNKNOWN.
func Broken() []string {
	return []string{"mismatch", "no-uvm", "lost", "no-driver", "denied", "hang", "no-symbol", "unknown"}
}

// New makes the machine of that name. It ends with the test.
func New(t testing.TB, name string) *Machine {
	t.Helper()
	s, ok := machines()[name]
	if !ok {
		t.Fatalf("no machine %q; there are %s", name, strings.Join(Names(), ", "))
	}
	m := &Machine{Name: name, Dir: testenv.PublicDir(t), Nodes: nodes(t), init: s.init, hang: s.hang, lost: s.lost}
	m.Roots = gpu.Below(m.Dir)
	m.Driver, m.Module, m.LibDir = s.driver, s.module, s.libDir
	if s.bare {
		m.Driver, m.Module, m.LibDir = "", "", ""
	}
	m.Hardware, m.Inventory = s.hardware(), s.inventory()
	tr := &tree{t: t, dir: m.Dir, mode: m.Nodes, glibc: s.glibc}
	s.build(tr)
	if m.LibDir != "" {
		m.WriteConf(t)
		m.Env = []string{"FAKE_NVML_CONF=" + m.conf()}
	}
	return m
}

func (m *Machine) conf() string { return filepath.Join(m.Dir, m.LibDir, "fake_nvml.conf") }

// Path is where a file of the machine lies here.
func (m *Machine) Path(name string) string { return filepath.Join(m.Dir, name) }

// Remove takes files of the machine away.
func (m *Machine) Remove(t testing.TB, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := os.RemoveAll(m.Path(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// tree writes below dir.
type tree struct {
	t     testing.TB
	dir   string
	mode  string // of nodes
	glibc string // that most of the driver's files need
	cache []cacheEntry
}

func (tr *tree) check(err error) {
	tr.t.Helper()
	if err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) path(name string) string {
	p := filepath.Join(tr.dir, name)
	tr.check(os.MkdirAll(filepath.Dir(p), 0o755))
	return p
}

func (tr *tree) folder(names ...string) {
	for _, name := range names {
		tr.check(os.MkdirAll(filepath.Join(tr.dir, name), 0o755))
	}
}

func (tr *tree) file(name, content string) {
	tr.check(os.WriteFile(tr.path(name), []byte(content), 0o644))
}

func (tr *tree) link(name, to string) { tr.check(os.Symlink(to, tr.path(name))) }

func (tr *tree) program(name, interp string) {
	e := ELF{Says: "fake " + filepath.Base(name) + "\n", Interp: interp, Glibc: tr.glibc}
	tr.check(os.WriteFile(tr.path(name), e.Bytes(), 0o755))
}

// library writes dir/name, and the link that ldconfig would make for its SONAME.
func (tr *tree) library(dir, name, soname string, e ELF) {
	e.SONAME = soname
	tr.check(os.WriteFile(tr.path(dir+"/"+name), e.Bytes(), 0o755))
	if soname != name {
		tr.link(dir+"/"+soname, name)
	}
}

func writeFile(path string, b []byte) error { return os.WriteFile(path, b, 0o755) }

// Rename moves a file of the machine.
func (m *Machine) Rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(m.Path(from), m.Path(to)); err != nil {
		t.Fatal(err)
	}
}

// Write makes or replaces a file of the machine.
func (m *Machine) Write(t testing.TB, name, content string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(m.Path(name)), 0o755)
	if err == nil {
		err = os.WriteFile(m.Path(name), []byte(content), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Append adds to the end of a file of the machine.
func (m *Machine) Append(t testing.TB, name, content string) {
	t.Helper()
	b, err := os.ReadFile(m.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	m.Write(t, name, string(b)+content)
}
