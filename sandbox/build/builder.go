package build

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/images/wheel"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// Builder makes locks and layers for one project. All fields but Log, Report and Notice must be set.
// Its methods are for one goroutine; several Builders, also in other processes, may share a store.
type Builder struct {
	Store    *store.Store
	Images   *images.Images
	Fetch    *fetch.Client
	User     *envfile.UserConfig
	File     *envfile.File
	Dir      string            // the project's folder
	Environ  map[string]string // the caller's, for PIP_, UV_ and proxy variables
	Platform string            // that is locked; "" is this machine's
	Offline  bool
	Limits   layer.Limits // of archives that [[fetch]] unpacks
	Consent  func() error // asked before a step runs with a network; nil: it may

	Report progress.Report
	Notice func(string)
	Log    *slog.Logger

	stubs    string
	oldDebs  []envfile.DebPin          // of the lock that is renewed: where versions lie that no archive lists any more
	archives map[string][]*deb.Archive // of deb: bases, once verified
	urls     map[string]string         // where files of a fresh lock were seen, by sha256
	known    wheel.Set                 // Python indexes, once a default one is known
	full     error                     // a full disk that did not end a lock at once: see [Builder.without]
}

// Layer is one layer of an environment.
type Layer struct {
	Name   string `json:"name"` // of the store: diffID of a pulled layer, key of a built one
	FS     string `json:"path"`
	Why    string `json:"what"`
	DiffID string `json:"diff_id,omitempty"`
	Built  bool   `json:"built"` // by this call

	made    bool // by us, from a key; not pulled
	derived bool // of this machine: never in lock, digest or export
	linked  bool // its files are hard links into the store
}

// Env is an environment whose layers are all in the store.
type Env struct {
	Digest     string
	Layers     []Layer // bottom first
	Image      images.Config
	PythonEnv  bool // /opt/env is there
	AptSources bool // the base has no apt sources of its own
	Wheels     []string
	Blobs      []string
}

// dirs are the trees, bottom first.
func (e *Env) dirs() []string {
	out := make([]string, len(e.Layers))
	for i, l := range e.Layers {
		out[i] = l.FS
	}
	return out
}

// OwnerDirs are the folders of the layers, bottom first, that say whose files are: those that are derived
// have folders only to show how they look.
func (e *Env) OwnerDirs() []string {
	var out []string
	for _, l := range e.Layers {
		if !l.derived {
			out = append(out, filepath.Dir(l.FS))
		}
	}
	return out
}

func (e *Env) names() []string {
	out := make([]string, len(e.Layers))
	for i, l := range e.Layers {
		out[i] = l.Name
	}
	return out
}

// Platform is the one of this machine, "linux/amd64".
func Platform() string { return "linux/" + runtime.GOARCH }

// arch is Debian's name of the machine.
func arch() string {
	switch runtime.GOARCH {
	case "386":
		return "i386"
	case "arm":
		return "armhf"
	case "ppc64le":
		return "ppc64el"
	}
	return runtime.GOARCH
}

// Build makes every layer of a section that the store lacks.
func (b *Builder) Build(ctx context.Context, lock *envfile.Lock, section string) (*Env, error) {
	sec := lock.Sections[section]
	env, err := b.base(ctx, sec, lock.Epoch)
	if err != nil {
		return nil, err
	}
	env.Digest = lock.Digest(section)
	for _, kind := range []string{"toolchain", "apt"} {
		if err := b.addDebs(ctx, env, debsOf(sec, kind), kind, lock.Epoch); err != nil {
			return nil, err
		}
	}
	if err := b.addPython(ctx, env, sec, lock.Epoch); err != nil {
		return nil, err
	}
	if err := b.addSteps(ctx, env, sec, lock.Epoch); err != nil {
		return nil, err
	}
	return env, b.addBytecode(ctx, env)
}

// make has the store hold a layer, making it if need be, and adds it to env.
func (b *Builder) make(ctx context.Context, env *Env, name, why string, make func(dir string) error) error {
	l, made, err := b.Store.MakeLayer(ctx, name, func(dir string) error {
		b.log().Info("build layer", "name", name, "what", why)
		if err := make(dir); err != nil {
			return fmt.Errorf("build %s: %w", why, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !made {
		b.log().Info("layer is there", "name", name, "what", why)
	}
	env.Layers = append(env.Layers, Layer{Name: l.Name, FS: l.FS, Why: why, Built: made, made: true, DiffID: string(l.DiffID)})
	return nil
}

func (b *Builder) log() *slog.Logger {
	if b.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return b.Log
}

func (b *Builder) notice(format string, a ...any) {
	if b.Notice != nil {
		b.Notice(fmt.Sprintf(format, a...))
	}
}

// stubsDir is the folder of mount points for build boxes.
func (b *Builder) stubsDir(ctx context.Context) (string, error) {
	if b.stubs != "" {
		return b.stubs, nil
	}
	name, err := key("build stubs", nil)
	if err != nil {
		return "", err
	}
	l, _, err := b.Store.MakeLayer(ctx, name, func(dir string) error { return MakeStubs(filepath.Join(dir, "fs")) })
	b.stubs = l.FS
	return b.stubs, err
}
