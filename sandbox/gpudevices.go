package sandbox

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/gpu/cdi"
	"github.com/4cc2e759/sandbox/gpu/driver/ldcache"
	"github.com/4cc2e759/sandbox/gpu/inject"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/plan"
)

// addDevices resolves CDI devices and InfiniBand. The edits are nil where none is asked for; what of them
// belongs above the image is [Manager.addLibraries]'s.
func (m *Manager) addDevices(w launch.GPUWant, g *plan.GPU) (*cdi.Edits, error) {
	names := slices.Concat(w.CDI, w.Options.Devices)
	l := newOpList()
	var e *cdi.Edits
	if len(names) > 0 {
		var err error
		if e, err = cdi.Resolve(names, cdi.Options{Roots: m.GPURoots()}); err != nil {
			return nil, err
		}
		l.addEdits(e)
		for _, n := range e.Notes {
			m.notice("%s", n)
		}
		maps.Copy(g.Env, e.Env)
	}
	if w.IB {
		for _, n := range cdi.InfiniBand(m.GPURoots()) {
			l.node(n.Source, n.Target, n.Why)
		}
	}
	g.Ops = append(g.Ops, l.ops...)
	return e, nil
}

const (
	cacheFile  = "/etc/ld.so.cache"
	deviceConf = "/etc/ld.so.conf.d/00-sandbox-devices.conf"
)

// addLibraries makes links and libraries of CDI devices be found: in ld.so.cache, after those of a GPU's
// driver and before the image's, as the vendor's hook does; where the image cannot have that, by
// LD_LIBRARY_PATH.
func (m *Manager) addLibraries(e *cdi.Edits, in plan.Inputs, g *plan.GPU, a *additions, stack *layer.Stack) error {
	for _, k := range e.Links {
		if _, ours := newOpList().fillable(k.Path); !ours {
			a.link(k.Path, k.To)
		}
	}
	if len(e.Libraries) == 0 {
		return nil
	}
	facts := m.imageFacts(in.Env.Lowers, imageOf(stack, in))
	byCache := facts.NoLower == "" && facts.Libc != "musl" && !facts.Nix
	if byCache {
		below := facts.Cache
		if b := a.files[cacheFile]; b != nil { // the driver's and what is left of the image's
			var err error
			if below, err = ldcache.Parse(b); err != nil {
				return err
			}
		}
		a.file(cacheFile, ldcache.Write(withSonames(below, e.Sonames)))
		a.file(deviceConf, []byte(strings.Join(e.Libraries, "\n")+"\n"))
	}
	byPath := slices.DeleteFunc(slices.Clone(e.Libraries), func(dir string) bool {
		known := slices.ContainsFunc(e.Sonames, func(s cdi.Soname) bool { return path.Dir(s.Path) == dir })
		return byCache && known && !ownCache(in)
	})
	prependPath(in, g, byPath)
	return nil
}

// withSonames puts libraries of devices into a list for the linker. Of equal names the driver's of a chosen
// GPU stays, and the image's goes.
func withSonames(entries []ldcache.Entry, mine []cdi.Soname) []ldcache.Entry {
	var out []ldcache.Entry
	taken := map[ldcache.Entry]bool{}
	key := func(e ldcache.Entry) ldcache.Entry { return ldcache.Entry{Name: e.Name, Flags: e.Flags} }
	for _, e := range entries {
		if strings.HasPrefix(e.Path, inject.Dir+"/") {
			out = append(out, e)
			taken[key(e)] = true
		}
	}
	for _, s := range mine {
		e := ldcache.Entry{Name: s.Name, Path: s.Path, Flags: ldcache.Flags(s.Class, s.Machine)}
		if e.Flags != 0 && !taken[key(e)] {
			out = append(out, e)
			taken[key(e)] = true
		}
	}
	for _, e := range entries {
		if !taken[key(e)] && !strings.HasPrefix(e.Path, inject.Dir+"/") {
			out = append(out, e)
		}
	}
	return out
}

// prependPath puts folders in front of LD_LIBRARY_PATH as the program would have it.
func prependPath(in plan.Inputs, g *plan.GPU, dirs []string) {
	if len(dirs) == 0 {
		return
	}
	in.GPU = g
	for _, kv := range plan.Environ(in) {
		if old, ok := strings.CutPrefix(kv, "LD_LIBRARY_PATH="); ok && old != "" {
			dirs = append(dirs, old)
		}
	}
	g.Force["LD_LIBRARY_PATH"] = strings.Join(dirs, ":")
}
