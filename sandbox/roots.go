package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// rootRecord says what a project uses, so that gc keeps it: roots-v1/<hash of the folder>.json.
type rootRecord struct {
	Project string   `json:"project"`
	Env     string   `json:"env"`
	Layers  []string `json:"layers"`
	Wheels  []string `json:"wheels,omitempty"`
	Blobs   []string `json:"blobs,omitempty"`
	Seen    int64    `json:"seen"` // when the folder was last there, Unix seconds
}

// projectGone is how long a project whose folder is missing is kept: it may be on another disk.
const projectGone = 30 * 24 * time.Hour

func (m *Manager) registerRoot(st *store.Store, dir string, env *build.Env) error {
	r := rootRecord{Project: dir, Env: env.Digest, Seen: time.Now().Unix(), Wheels: env.Wheels, Blobs: env.Blobs}
	for _, l := range env.Layers {
		r.Layers = append(r.Layers, l.Name)
	}
	return writeRoot(filepath.Join(st.Path("roots-v1"), launch.Hash(dir)+".json"), r)
}

func writeRoot(path string, r rootRecord) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, b, 0o600)
}

// GCOptions is what gc may remove.
type GCOptions struct {
	DryRun    bool
	OlderThan time.Duration
	MaxSize   int64 // bytes; 0 is no bound
}

// GC removes what no project, image name, or kept or running sandbox uses. An unreadable record
// removes nothing: it might be the one that keeps.
func (m *Manager) GC(ctx context.Context, o GCOptions) (store.Freed, error) {
	st, err := m.Store()
	if err != nil {
		return store.Freed{}, err
	}
	m.l.Sweep()
	keep, err := m.kept(st)
	if err != nil {
		return store.Freed{}, err
	}
	return st.GC(ctx, func(kind store.Kind, name string) bool { return keep[string(kind)+"/"+name] },
		store.GCOptions{DryRun: o.DryRun, OlderThan: o.OlderThan, MaxSize: o.MaxSize})
}

// kept lists what must stay, as "layer/NAME", "wheel/SHA", "blob/DIGEST".
func (m *Manager) kept(st *store.Store) (map[string]bool, error) {
	keep := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(st.Path("roots-v1"), "*.json"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var r rootRecord
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, errors.Join(errors.New("nothing was removed: a record of what is in use cannot be read: "+f), err)
		}
		if _, err := os.Stat(r.Project); err == nil {
			r.Seen = time.Now().Unix()
		} else if time.Since(time.Unix(r.Seen, 0)) > projectGone {
			continue
		}
		for _, l := range r.Layers {
			keep["layer/"+l] = true
		}
		for _, w := range r.Wheels {
			keep["wheel/"+w] = true
		}
		for _, d := range r.Blobs {
			keep["blob/"+d] = true
		}
	}
	records, err := st.Images()
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		for _, l := range r.Layers {
			keep["layer/"+l] = true
		}
		keep["blob/"+string(r.Manifest)] = true
		keep["blob/"+string(r.Index)] = true
		keep["blob/"+string(r.Config)] = true
	}
	return keep, nil
}

// ParseSize reads "20GiB"; "" is 0.
func ParseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := envfile.ParseSize(s)
	return int64(n), err
}
