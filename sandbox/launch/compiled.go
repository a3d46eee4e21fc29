package launch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"

	"github.com/4cc2e759/sandbox/envfile/terms"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/internal/flat"
	"github.com/4cc2e759/sandbox/internal/smallfile"
	"github.com/4cc2e759/sandbox/sandbox/plan"
)

// Compiled is everything about a project that does not change between two starts of it. It is kept
// under a key of all that it was made from, so a start of a built environment parses nothing: see package
// flat for how.
type Compiled struct {
	Env    plan.Env
	Tasks  map[string]Task
	Steps  []terms.Step // where = "project"
	Root   string       // [project] root
	Wants  string       // digest of what needs consent, "" for nothing
	Asks   string       // the same in words
	Bind   map[string]string
	Needs  terms.Needs
	Limits terms.Limits
	Stores []string // of the user's configuration: other places where layers lie
	Stamps []Stamp  // files that the lock depends on

	GPU        terms.GPU
	GPUNeed    json.RawMessage // of a driver and a GPU, by the pins
	CDI        []string
	InfiniBand bool

	AptList    string // for a base without sources of its own
	AptKeyring string
}

// Task is a task with its user looked up.
type Task struct {
	Task terms.Task
	User *plan.User
}

// Stamp is a file as it was when its content was last compared with the lock. Size, times and inode
// unchanged mean content unchanged: the change time cannot be set by a user.
type Stamp struct {
	Path  string
	Size  int64
	Mtime int64
	Ctime int64
	Inode uint64
}

// cacheKey covers everything that Compiled depends on but the stamped files.
func (p *Project) cacheKey() string {
	h := sha256.New()
	part := func(b []byte) {
		h.Write([]byte(strconv.Itoa(len(b))))
		h.Write([]byte{':'})
		h.Write(b)
	}
	for _, s := range []string{p.l.BuildID, strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getgid()), p.Dir,
		p.Options.Network, strconv.FormatBool(p.Options.Stranger), strconv.FormatBool(NoGPU())} {
		part([]byte(s))
	}
	for _, s := range p.Options.Profiles {
		part([]byte(s))
	}
	for _, b := range [][]byte{p.EnvSrc, p.LockSrc, p.LocalSrc, p.l.Config} {
		part(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (p *Project) cacheFile() string {
	return filepath.Join(p.l.StoreDir, "envs-v1", "plans", p.cacheKey())
}

// Cached gives what an earlier start has left, if every stamped file is as it was. It takes one read
// and one stat per file; anything unusual means the slow way.
func (p *Project) Cached() *Compiled {
	if p.LockSrc == nil {
		return nil
	}
	b, err := smallfile.ReadOwn(p.cacheFile())
	if err != nil {
		return nil
	}
	c := new(Compiled)
	if flat.Unmarshal(b, c) != nil {
		return nil
	}
	for _, s := range c.Stamps {
		if now, err := StampOf(s.Path); err != nil || now != s {
			return nil
		}
	}
	return c
}

// Keep saves c for the next start. A failure costs only time, so it is logged and forgotten.
func (p *Project) Keep(c *Compiled) {
	b, err := flat.Marshal(c)
	if err == nil {
		f := p.cacheFile()
		if err = os.MkdirAll(filepath.Dir(f), 0o700); err == nil {
			err = atomicfile.Write(f, b, 0o600)
		}
	}
	if err != nil {
		p.l.Log.Debug("plan not kept", "err", err)
	}
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
