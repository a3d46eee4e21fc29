package inject

import (
	"debug/elf"
	"path"
	"sort"
	"strings"

	"github.com/4cc2e759/sandbox/gpu/driver/ldcache"
)

const (
	cacheName = "etc/ld.so.cache"
	confName  = "etc/ld.so.conf.d/00-sandbox-gpu.conf"
)

// linker makes the dynamic linker find the driver: by ld.so.cache, which no variable has to carry along
// and which stands behind RPATH; where the image cannot have it, by LD_LIBRARY_PATH.
func (p *planner) linker() error {
	if p.Facts.Nix {
		const why = "programs of Nix look for the driver here, and not in ld.so.cache"
		p.fallback = true
		p.out.Tmpfs = append(p.out.Tmpfs, Tmpfs{"/run/opengl-driver", true, why})
		p.out.link("/run/opengl-driver/lib", Lib64, why)
	}
	p.fallback = p.fallback || p.OwnCache
	switch {
	case p.Facts.NoLower != "":
		p.fallback = true
		p.out.note(p.Facts.NoLower + ": the driver is found by LD_LIBRARY_PATH and not by ld.so.cache, so programs started without that variable do not find it")
		return nil
	case !p.Facts.Conf:
		p.fallback = true
		p.out.note("the image's ld.so.conf does not read ld.so.conf.d: LD_LIBRARY_PATH names the driver too, for the time after an ldconfig inside")
	}
	p.lower(cacheName, ldcache.Write(p.cacheEntries()))
	p.lower(confName, []byte(strings.Join(p.folders(), "\n")+"\n"))
	return nil
}

func (p *planner) lower(name string, content []byte) {
	if p.out.Lower == nil {
		p.out.Lower = map[string][]byte{}
	}
	p.out.Lower[name] = content
}

// folders are those that the linker looks in first.
func (p *planner) folders() []string {
	var out []string
	if p.compatDir != "" {
		out = append(out, p.compatDir)
	}
	out = append(out, Lib64)
	for s := range p.sonames {
		if s.class == 32 {
			return append(out, Lib32)
		}
	}
	return out
}

// cacheEntries are ours and the image's without those of the same names: an entry of the image for a
// certain processor would otherwise come before ours, whatever the order.
func (p *planner) cacheEntries() []ldcache.Entry {
	flags := map[int]int32{64: nativeFlags(), 32: ldcache.Flags(elf.ELFCLASS32, elf.EM_386)}
	mine := map[soname]string{}
	for s, at := range p.sonames {
		mine[s] = at
	}
	if p.compatDir != "" {
		for _, at := range p.compatNames() {
			mine[soname{path.Base(at), 64}] = at
		}
	}
	var out []ldcache.Entry
	taken := map[string]map[int32]bool{}
	for s, at := range mine {
		out = append(out, ldcache.Entry{Name: s.name, Path: at, Flags: flags[s.class]})
		if taken[s.name] == nil {
			taken[s.name] = map[int32]bool{}
		}
		taken[s.name][flags[s.class]] = true
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Name < out[j].Name || out[i].Name == out[j].Name && out[i].Flags < out[j].Flags
	})
	for _, e := range p.Facts.Cache {
		if !taken[e.Name][e.Flags] && !p.hidden(e.Path) && !below(e.Path, Dir) {
			out = append(out, e)
		}
	}
	return out
}

// hidden tells whether a path of the image is below a mask of ours.
func (p *planner) hidden(name string) bool {
	for _, m := range p.out.Masks {
		if below(name, m.Target) {
			return true
		}
	}
	return false
}

// below tells whether name is dir or in it.
func below(name, dir string) bool {
	name = path.Clean(name)
	return name == dir || strings.HasPrefix(name, dir+"/")
}
