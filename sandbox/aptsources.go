package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/internal/smallfile"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// aptList is where apt inside a deb: base finds its archives on this host.
type aptList struct {
	List    string `json:"list"`
	Keyring string `json:"keyring,omitempty"`
}

// aptSources fills in where apt inside finds packages. Which mirrors answer for a suite is asked over
// the network once, and again when the host's sources or the configuration change. Without an answer
// the sandbox starts all the same: only apt in it has nowhere to go.
func (p *Project) aptSources(ctx context.Context, c *launch.Compiled, b *build.Builder, sec *envfile.Section, env *build.Env) {
	stamps := aptStamps()
	c.Stamps = append(c.Stamps, stamps...)
	key := launch.Hash(fmt.Sprintf("%q %q %q %q %v", sec.Image.Ref, p.file.Image.Mirror, p.file.Image.Keyring, p.m.l.Config, stamps))
	file := filepath.Join(p.m.StoreDir(), "envs-v1", "apt-"+key[:32]+".json")
	var l aptList
	if src, err := smallfile.ReadOwn(file); err == nil && json.Unmarshal(src, &l) == nil {
		c.AptList, c.AptKeyring = l.List, l.Keyring
		return
	}
	var err error
	if l.List, l.Keyring, err = b.AptList(ctx, sec, env); err != nil {
		p.m.o.Log.Warn("apt inside has no sources", "err", err)
		return
	}
	c.AptList, c.AptKeyring = l.List, l.Keyring
	src, err := json.Marshal(l)
	if err == nil {
		err = atomicfile.Write(file, src, 0o600)
	}
	if err != nil {
		p.m.o.Log.Debug("apt sources not kept", "err", err)
	}
}

// aptStamps are the files that say where this host's apt looks.
func aptStamps() []launch.Stamp {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	var out []launch.Stamp
	for _, f := range append(files, "/etc/apt/sources.list") {
		if s, err := launch.StampOf(f); err == nil {
			out = append(out, s)
		}
	}
	return out
}
