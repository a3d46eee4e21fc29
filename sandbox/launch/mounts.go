package launch

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// caches makes the folders behind cache and volume mounts and fills in where they are.
func (p *Project) caches(c *Compiled, out map[string]string) error {
	for name, mt := range c.Env.Mounts {
		var dir string
		switch mt.Kind {
		case "cache":
			dir = filepath.Join(p.l.StoreDir, "caches-v1", "user", name)
			if mt.Scope == "project" || p.CacheScope != "" {
				dir = filepath.Join(p.l.StoreDir, "caches-v1", "project-"+Hash(p.Dir)[:16], name)
			}
		case "volume":
			dir = filepath.Join(p.l.StoreDir, "volumes-v1", Hash(p.Dir)[:16]+"-"+name)
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
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		out[name] = dir
	}
	return nil
}

// homeCache is the host folder for ~/.cache: one per user, and one per repository for strangers'
// code, which could leave things there for the next.
func (p *Project) homeCache() (string, error) {
	scope := "home"
	if p.CacheScope != "" {
		scope = p.CacheScope
	}
	dir := filepath.Join(p.l.StoreDir, "caches-v1", scope)
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
	}
	return dir, nil
}
