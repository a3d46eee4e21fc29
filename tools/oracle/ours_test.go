package oracle

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver"
	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/gpu/inject"
)

// What programs can ask for: what they get if they ask for nothing, and everything.
var asked = map[string][]gpu.Capability{
	"default":    nil,
	"everything": {gpu.Compute, gpu.Utility, gpu.Video, gpu.Graphics, gpu.Display, gpu.NGX},
}

// choose gives what gpu/driver and gpu/inject choose, device by device, named as nvcdi does.
func choose(m *gputest.Machine, caps []gpu.Capability) (map[string]*choice, error) {
	set, err := driver.Discover(m.Roots, driver.Options{Caps: caps})
	if err != nil {
		return nil, err
	}
	out := map[string]*choice{}
	for name, pick := range picks(m.Inventory) {
		in, err := inject.Plan(inject.Inputs{Roots: m.Roots, Inventory: m.Inventory, Picks: []gpu.Pick{pick}, Set: set, Caps: caps, Force: true, CheckNodes: true,
			Image: inject.Image{Stat: linker}})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if out[name], err = injected(m, set, in); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// linker is an image that has nothing but what programs of the driver need to start.
func linker(name string) (fs.FileInfo, error) {
	switch name {
	case "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/etc", "/etc/ld.so.conf.d":
		return os.Stat("/etc")
	}
	return nil, fs.ErrNotExist
}

// picks are whole GPUs, and slices of those that are cut: a GPU in MIG mode is not used whole.
func picks(inv gpu.Inventory) map[string]gpu.Pick {
	out := map[string]gpu.Pick{}
	for _, d := range inv.Devices {
		if d.Error != "" {
			continue
		}
		n := strconv.Itoa(d.Index)
		for i := range d.MIG {
			out[n+":"+strconv.Itoa(d.MIG[i].Index)] = gpu.Pick{Device: d, MIG: &d.MIG[i]}
		}
		if !d.MIGMode {
			out[n] = gpu.Pick{Device: d}
		}
	}
	return out
}

func injected(m *gputest.Machine, set *driver.Set, in *inject.Injection) (*choice, error) {
	c := &choice{Files: map[string]string{}, Links: map[string]string{}}
	for _, n := range in.Nodes {
		c.Nodes = append(c.Nodes, n.Target)
	}
	for _, b := range in.Binds {
		if strings.HasPrefix(b.Source, m.Roots.Proc+"/") {
			continue // files of /proc/driver/nvidia are no choice of the driver's files
		}
		real, err := filepath.EvalSymlinks(b.Source)
		if err != nil {
			return nil, err
		}
		c.Files[strings.TrimPrefix(real, m.Dir)] = path.Base(b.Target)
	}
	// The loaders' files are copied into a layer.
	for _, d := range set.Data {
		for name := range in.Lower {
			if path.Base(name) == d.Name {
				c.Files[strings.TrimPrefix(d.Path, m.Dir)] = d.Name
			}
		}
	}
	for _, l := range in.Links {
		if strings.HasPrefix(l.Target, inject.Lib64+"/") {
			c.Links[path.Base(l.Target)] = l.To
		}
	}
	slices.Sort(c.Nodes)
	return c, nil
}
