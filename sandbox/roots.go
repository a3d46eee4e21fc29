package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/internal/sealed"
	"github.com/4cc2e759/sandbox/internal/smallfile"
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
	return atomicfile.Write(path, sealed.Seal(b), 0o600)
}

// GCOptions is what gc may remove.
type GCOptions struct {
	DryRun    bool
	OlderThan time.Duration
	MaxSize   int64 // bytes; 0 is no bound
}

// unusedFor is how long what nothing uses stays, unless the user says otherwise.
const unusedFor = 7 * 24 * time.Hour

// GCRules are those of the user's configuration, [gc], with the default for what it does not say.
func (m *Manager) GCRules() GCOptions {
	o := GCOptions{OlderThan: unusedFor, MaxSize: int64(m.user.GC.MaxSize)}
	if m.user.GC.OlderThan > 0 {
		o.OlderThan = m.user.GC.OlderThan
	}
	return o
}

// GC removes what no project, image name, or kept or running sandbox uses. An unreadable record
// removes nothing: it might be the one that keeps.
func (m *Manager) GC(ctx context.Context, o GCOptions) (store.Freed, error) {
	st, err := m.Store()
	if err != nil {
		return store.Freed{}, err
	}
	keep := func() (store.Keep, error) {
		k, err := m.kept(st, o.DryRun)
		return func(kind store.Kind, name string) bool { return k[string(kind)+"/"+name] }, err
	}
	first, err := keep()
	if err != nil {
		return store.Freed{}, err
	}
	if !o.DryRun { // what was kept by what goes now can go, too
		m.l.Sweep()
		if first, err = keep(); err != nil {
			return store.Freed{}, err
		}
	}
	return st.GC(ctx, first, store.GCOptions{DryRun: o.DryRun, OlderThan: o.OlderThan, MaxSize: o.MaxSize, Again: keep})
}

func unreadable(err error) error {
	return fmt.Errorf("nothing was removed: a record of what is in use cannot be read: %w", err)
}

// kept lists what must stay, as "layer/NAME", "wheel/SHA", "blob/HEX". With swept, old shells that nobody uses keep
// nothing, as if they were gone already.
func (m *Manager) kept(st *store.Store, swept bool) (map[string]bool, error) {
	keep := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(st.Path("roots-v1"), "*.json"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := keepRoot(keep, f); err != nil {
			return nil, err
		}
	}
	records, err := st.Records()
	if err != nil {
		return nil, unreadable(err)
	}
	for _, r := range records {
		keepLayers(keep, r.Layers)
		if err := keepInherited(st, keep, r.Layers); err != nil {
			return nil, unreadable(err)
		}
		keepBlobs(keep, string(r.Manifest), string(r.Index), string(r.Config))
		if r.Made {
			if err := m.keepMade(st, keep, r); err != nil {
				return nil, unreadable(err)
			}
		}
	}
	// What a kept sandbox was made on is the lower half of it, whatever became of its project.
	sandboxes, err := m.l.Kept()
	if err != nil {
		return nil, unreadable(err)
	}
	for _, s := range sandboxes {
		if swept && s.Swept() && !m.l.Running(s.Name) {
			continue
		}
		keepLayers(keep, s.Layers)
		if s.Project == "" {
			if err := m.keepDocuments(keep, s); err != nil {
				return nil, unreadable(err)
			}
		}
	}
	return keep, nil
}

func keepInherited(st *store.Store, keep map[string]bool, names []string) error {
	var pulled []store.Layer
	for _, n := range names {
		pulled = append(pulled, store.Layer{Name: n, FS: filepath.Join(st.Path(store.Layers, n), "fs")})
	}
	name, err := build.Inherited(pulled)
	if name != "" {
		keepLayers(keep, []string{name})
	}
	return err
}

// keepRoot keeps what the project of one record uses. That its folder is there is written down, at most once a day:
// the days until it counts as gone begin with the last one on which it was seen.
func keepRoot(keep map[string]bool, file string) error {
	r, err := readRoot(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(fmt.Errorf("%s: %w", file, err))
	}
	seen := time.Unix(r.Seen, 0)
	// Only what is certainly not there is gone: a disk that does not answer is none.
	if _, err := os.Stat(r.Project); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		if r.Seen = time.Now().Unix(); time.Since(seen) > 24*time.Hour {
			_ = writeRoot(file, r) // in a store that is only readable nothing is removed either
		}
	} else if time.Since(seen) > projectGone {
		return nil
	}
	keepLayers(keep, r.Layers)
	for _, w := range r.Wheels {
		keep["wheel/"+w] = true
	}
	keepBlobs(keep, r.Blobs...)
	return nil
}

func readRoot(file string) (r rootRecord, err error) {
	b, err := smallfile.ReadOwn(file)
	if err == nil {
		b, err = sealed.Open(b)
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err == nil && r.Project == "" {
		err = errors.New("it names no project")
	}
	return r, err
}

func keepLayers(keep map[string]bool, names []string) {
	for _, l := range names {
		keep["layer/"+l] = true
	}
}

// keepBlobs takes digests; the store asks by their hex.
func keepBlobs(keep map[string]bool, digests ...string) {
	for _, d := range digests {
		keep["blob/"+store.Digest(d).Hex()] = true
	}
}
