package cdi

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tags.cncf.io/container-device-interface/pkg/cdi"
	"tags.cncf.io/container-device-interface/pkg/parser"

	"github.com/4cc2e759/sandbox/gpu"
)

// Options say where to look. The zero value is this machine.
type Options struct {
	Dirs  []string  // folders of device descriptions, later ones win; nil: /etc/cdi and /var/run/cdi
	Roots gpu.Roots // where the paths of a description lead; the zero value is this machine

	lstat func(string) (fs.FileInfo, error) // os.Lstat; tests without root have no device nodes
}

// Edits is what the named devices need in a sandbox. All targets are absolute and clean, and none lies
// where a sandbox has its own: /proc, /sys, /run/sandbox.
type Edits struct {
	Devices   []string          // the names asked for, each once
	Specs     []string          // files they are described in
	Nodes     []Node            //
	Binds     []Bind            // parents before what lies below them
	Links     []Link            //
	Libraries []string          // folders in the sandbox that the dynamic linker has to search
	Sonames   []Soname          // the libraries in these that are the host's, sorted by path
	Env       map[string]string //
	Groups    []int             // of the host, that the program should be in; nobody can be put into one without root
	Notes     []string          // what the user should know
}

// Node is a device node of the host. Source has no links left.
type Node struct{ Source, Target, Why string }

// Bind is a file, folder or socket of the host.
type Bind struct {
	Source, Target string
	Flags          []string // of ro, nosuid, nodev, noexec, in this order
	Why            string
}

// Link is a symbolic link at Path that says To.
type Link struct{ Path, To, Why string }

// Bounds of one Resolve; real devices stay far below them.
const (
	maxNames = 256
	maxEdits = 4096
)

// Resolve says what the named devices (`vendor/class=name`) need. Errors are *[UnknownError],
// *[HookError], *[StaleError] and *[BadError], or several of them joined.
func Resolve(names []string, o Options) (*Edits, error) {
	o = o.defaults()
	if len(names) > maxNames {
		return nil, fmt.Errorf("too many devices: %d", len(names))
	}
	for _, n := range names {
		if _, _, _, err := parser.ParseQualifiedName(n); err != nil {
			return nil, &NameError{Name: n, Why: reason(err)}
		}
	}
	all := o.read()
	var picked []*device
	for _, n := range names {
		d := all.devices[n]
		if d == nil {
			return nil, all.unknown(n)
		}
		if !slices.Contains(picked, d) {
			picked = append(picked, d)
		}
	}
	c := newCollector(o)
	for _, d := range picked {
		c.edits.Devices = append(c.edits.Devices, d.name)
		if !slices.Contains(c.edits.Specs, d.file.path) {
			// What a file says of all its devices comes first, once: as the format asks for.
			c.edits.Specs = append(c.edits.Specs, d.file.path)
			c.add(d, &d.file.spec.ContainerEdits)
		}
		c.add(d, d.edits)
	}
	return c.finish(all.notes(picked))
}

// Device is one that can be asked for.
type Device struct {
	Name string // "amd.com/gpu=0"
	Spec string // file that describes it
}

// List gives the devices of this machine in the order of their names, and the files that cannot be used.
func List(o Options) ([]Device, []*BadError) {
	all := o.defaults().read()
	var out []Device
	for _, n := range all.names() {
		out = append(out, Device{Name: n, Spec: all.devices[n].file.path})
	}
	return out, all.bad
}

func (o Options) defaults() Options {
	if o.Roots == (gpu.Roots{}) {
		o.Roots = gpu.HostRoots()
	}
	if o.Dirs == nil {
		for _, d := range []string{cdi.DefaultStaticDir, cdi.DefaultDynamicDir} {
			o.Dirs = append(o.Dirs, filepath.Join(o.Roots.FS, d))
		}
	}
	if o.lstat == nil {
		o.lstat = os.Lstat
	}
	return o
}

// reason is a message of the library as ours are: on one line, without a period inside.
func reason(err error) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), ". ", ": ")), " ")
}
