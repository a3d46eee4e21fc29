package cdi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"tags.cncf.io/container-device-interface/pkg/cdi"
	"tags.cncf.io/container-device-interface/pkg/parser"
	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/4cc2e759/sandbox/internal/near"
	"github.com/4cc2e759/sandbox/internal/smallfile"
)

// Bounds of what is read. A description of a machine with 16 GPUs in 7 slices each has some 200 KiB.
const (
	maxFile  = 1 << 20
	maxFiles = 256 // in a folder
)

// file is one description.
type file struct {
	path     string
	priority int // of its folder; the highest wins
	spec     *specs.Spec
}

// device is one device of a file.
type device struct {
	name  string // qualified
	file  *file
	edits *specs.ContainerEdits
}

// catalogue is all that the folders describe.
type catalogue struct {
	dirs    []string
	devices map[string]*device
	bad     []*BadError
}

// read takes in every file of every folder. What cannot be used is remembered and does not stop the rest.
func (o Options) read() *catalogue {
	c := &catalogue{dirs: o.Dirs, devices: map[string]*device{}}
	twice := map[string]bool{}
	for priority, dir := range o.Dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.bad = append(c.bad, &BadError{Spec: dir, Why: cause(err), Err: err})
		}
		seen := 0
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".json" && ext != ".yaml" {
				continue
			}
			if seen++; seen > maxFiles {
				c.bad = append(c.bad, &BadError{Spec: dir, Why: fmt.Sprintf("only the first %d files are read", maxFiles)})
				break
			}
			f, err := readFile(filepath.Join(dir, e.Name()), priority)
			if err != nil {
				c.bad = append(c.bad, &BadError{Spec: filepath.Join(dir, e.Name()), Why: cause(err), Err: err})
				continue
			}
			c.take(f, twice)
		}
	}
	for name := range twice {
		delete(c.devices, name)
	}
	return c
}

// take adds the devices of a file. Of two folders the later one wins; in one folder two files that
// describe one device are a mistake that nobody can guess the end of.
func (c *catalogue) take(f *file, twice map[string]bool) {
	for i := range f.spec.Devices {
		d := &f.spec.Devices[i]
		name := f.spec.Kind + "=" + d.Name
		old := c.devices[name]
		if old != nil && old.file.priority == f.priority {
			twice[name] = true
			c.bad = append(c.bad, &BadError{Spec: f.path, Device: name, Why: "also described in " + old.file.path})
			continue
		}
		delete(twice, name)
		c.devices[name] = &device{name: name, file: f, edits: &d.ContainerEdits}
	}
}

func readFile(path string, priority int) (*file, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if fi.Mode().IsRegular() && fi.Size() > maxFile {
		return nil, fmt.Errorf("larger than %d KiB", maxFile>>10)
	}
	// It is obeyed with the rights of whoever starts the sandbox.
	if fi.Mode().Perm()&0o002 != 0 {
		return nil, errors.New("everybody can write to it")
	}
	b, err := smallfile.Read(path)
	if err != nil {
		return nil, err
	}
	spec, err := parse(b)
	if err != nil {
		return nil, err
	}
	return &file{path: path, priority: priority, spec: spec}, nil
}

// parse reads one description and holds it to the rules of the format. The library takes an empty list
// entry for a pointer to something, so these are looked for before it sees them.
func parse(b []byte) (*specs.Spec, error) {
	if err := tame(b); err != nil {
		return nil, err
	}
	s, err := cdi.ParseSpec(b)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errors.New("empty")
	}
	all := []*specs.ContainerEdits{&s.ContainerEdits}
	for i := range s.Devices {
		all = append(all, &s.Devices[i].ContainerEdits)
	}
	for _, e := range all {
		if slices.Contains(e.DeviceNodes, nil) || slices.Contains(e.Mounts, nil) || slices.Contains(e.Hooks, nil) || slices.Contains(e.NetDevices, nil) {
			return nil, errors.New("an entry of a list is empty")
		}
	}
	if err := specs.ValidateVersion(s); err != nil {
		return nil, err
	}
	vendor, class := parser.ParseQualifier(s.Kind)
	if err := errors.Join(parser.ValidateVendorName(vendor), parser.ValidateClassName(class)); err != nil {
		return nil, err
	}
	if len(s.Devices) == 0 {
		return nil, errors.New("no devices")
	}
	names := map[string]bool{}
	for i, e := range all {
		if err := (&cdi.ContainerEdits{ContainerEdits: e}).Validate(); err != nil {
			return nil, err
		}
		if i == 0 {
			continue
		}
		name := s.Devices[i-1].Name
		if err := parser.ValidateDeviceName(name); err != nil {
			return nil, err
		}
		if names[name] {
			return nil, fmt.Errorf("device is there twice: %s", name)
		}
		names[name] = true
	}
	return s, nil
}

func (c *catalogue) names() []string {
	var out []string
	for n := range c.devices {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

func (c *catalogue) unknown(name string) error {
	e := &UnknownError{Name: name, Have: c.names(), Bad: c.bad, Dirs: c.dirs}
	e.Near = near.Word(name, e.Have)
	return e
}

// notes says which files were passed over, and what the picked devices have better elsewhere.
func (c *catalogue) notes(picked []*device) []string {
	var out []string
	for _, b := range c.bad {
		out = append(out, "not used: "+b.Error())
	}
	if slices.ContainsFunc(picked, func(d *device) bool { return d.file.spec.Kind == "nvidia.com/gpu" }) {
		out = append(out, "--gpus finds NVIDIA GPUs and their driver itself and needs no description")
	}
	return out
}

// cause is an error without the path that its reader sees anyway.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return printable(reason(err))
}

// printable is text of a description, for a message: on one line, not long, without control characters.
func printable(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if control(r) {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func control(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' }
