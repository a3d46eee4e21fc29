package launch

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/near"
)

// caches makes the folders behind cache and volume mounts and fills in where they are.
func (p *Project) caches(c *Compiled, in *Instance, out map[string]string) error {
	for name, mt := range c.Env.Mounts {
		var dir string
		var err error
		switch mt.Kind {
		case "cache":
			scope := "user"
			if mt.Scope == "project" || p.CacheScope != "" {
				scope = "project-" + Hash(p.Dir)[:16]
			}
			dir, err = p.l.cacheDir(in, scope, name)
		case "volume": // the user's: it is where it is
			dir = filepath.Join(p.l.StoreDir, "volumes-v1", Hash(p.Dir)[:16]+"-"+name)
			if err = os.MkdirAll(dir, 0o700); err != nil {
				err = fmt.Errorf("volume %s: %w", name, p.l.ReadOnly(err))
			}
		case "host":
			if p.Options.Bind[name] == "" && c.Bind[name] == "" && mt.From == "" && !mt.Optional {
				about := ""
				if mt.About != "" {
					about = " (" + mt.About + ")"
				}
				return hint.With(fmt.Errorf("mount %s%s has no folder on this machine", name, about),
					fmt.Sprintf("write [bind.mounts] %s = \"/path\" into %s, or pass --mount %s=/path", name, LocalName, name))
			}
			continue
		default:
			continue
		}
		if err != nil {
			return err
		}
		out[name] = dir
	}
	return nil
}

// homeCache is the host folder for ~/.cache: one per user, and one per repository for strangers'
// code, which could leave things there for the next.
func (p *Project) homeCache(in *Instance) (string, error) {
	if p.CacheScope != "" {
		return p.l.cacheDir(in, p.CacheScope)
	}
	return p.l.cacheDir(in, "home")
}

// undeclared refuses a folder for a mount that neither the env file nor a task of it has: it would be lost without
// a word.
func (p *Project) undeclared(c *Compiled) error {
	for name := range p.Options.Bind {
		have := map[string]bool{}
		for n := range c.Env.Mounts {
			have[n] = true
		}
		for _, t := range c.Tasks {
			for n := range t.Task.Mounts {
				have[n] = true
			}
		}
		if have[name] {
			continue
		}
		err := fmt.Errorf("--mount %s=%s: the env file declares no mount %s", name, p.Options.Bind[name], name)
		names := make([]string, 0, len(have))
		for n := range have {
			names = append(names, n)
		}
		if best := near.Word(name, names); best != "" {
			return hint.With(err, "--mount "+best+"="+p.Options.Bind[name])
		}
		return hint.With(err, "--mount "+p.Options.Bind[name]+":/WHERE mounts what it does not declare")
	}
	return nil
}
