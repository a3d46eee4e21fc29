package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/sandbox/plan"
)

// compiled is everything about a project that does not change between two starts of it. It is kept
// under a key of all that it was made from, so a start of a built environment parses nothing.
type compiled struct {
	Env    plan.Env            `json:"env"`
	Tasks  map[string]taskPlan `json:"tasks,omitempty"`
	Steps  []envfile.Step      `json:"steps,omitempty"` // where = "project"
	Root   string              `json:"root"`            // [project] root
	Wants  string              `json:"wants,omitempty"` // digest of what needs consent, "" for nothing
	Asks   string              `json:"asks,omitempty"`  // the same in words
	Bind   map[string]string   `json:"bind,omitempty"`
	Needs  envfile.Needs       `json:"needs"`
	Stamps []stamp             `json:"stamps,omitempty"` // files that the lock depends on

	AptList    string `json:"apt_list,omitempty"` // for a base without sources of its own
	AptKeyring string `json:"apt_keyring,omitempty"`
}

// taskPlan is a task with its user looked up.
type taskPlan struct {
	Task envfile.Task `json:"task"`
	User *plan.User   `json:"user,omitempty"`
}

// stamp is a file as it was when its content was last compared with the lock. Size, times and inode
// unchanged mean content unchanged: the change time cannot be set by a user.
type stamp struct {
	Path  string `json:"path"`
	Size  int64  `json:"size"`
	Mtime int64  `json:"mtime"`
	Ctime int64  `json:"ctime"`
	Inode uint64 `json:"inode"`
}

// cacheKey covers everything that compiled depends on but the stamped files.
func (p *Project) cacheKey() string {
	h := sha256.New()
	part := func(b []byte) {
		h.Write([]byte(strconv.Itoa(len(b))))
		h.Write([]byte{':'})
		h.Write(b)
	}
	for _, s := range []string{p.m.o.BuildID, strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getgid()), p.Dir,
		p.o.Network, strconv.FormatBool(p.o.Stranger), strconv.FormatBool(p.m.when()["no-gpu"])} {
		part([]byte(s))
	}
	for _, s := range p.o.Profiles {
		part([]byte(s))
	}
	for _, b := range [][]byte{p.envSrc, p.lockSrc, p.localSrc, p.m.userIn} {
		part(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (p *Project) cacheFile() string {
	return filepath.Join(p.m.StoreDir(), "envs-v1", "plans", p.cacheKey()+".json")
}

// cached gives what an earlier start has left, if every stamped file is as it was. It takes one read
// and one stat per file; anything unusual means the slow way.
func (p *Project) cached() *compiled {
	if p.lockSrc == nil {
		return nil
	}
	b, err := os.ReadFile(p.cacheFile())
	if err != nil {
		return nil
	}
	c := new(compiled)
	if json.Unmarshal(b, c) != nil {
		return nil
	}
	for _, s := range c.Stamps {
		if now, err := stampOf(s.Path); err != nil || now != s {
			return nil
		}
	}
	return c
}

// keep saves c for the next start. A failure costs only time, so it is logged and forgotten.
func (p *Project) keep(c *compiled) {
	b, err := json.Marshal(c)
	if err == nil {
		f := p.cacheFile()
		if err = os.MkdirAll(filepath.Dir(f), 0o700); err == nil {
			err = atomicfile.Write(f, b, 0o600)
		}
	}
	if err != nil {
		p.m.o.Log.Debug("plan not kept", "err", err)
	}
}

// ready gives the compiled project: from the cache, else by locking where there is no lock, checking
// the lock, building what is missing, and compiling.
func (p *Project) ready(ctx context.Context) (*compiled, error) {
	if c := p.cached(); c != nil {
		return c, nil
	}
	return p.compile(ctx)
}
