package sandbox

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/progress"
	"github.com/4cc2e759/sandbox/internal/smallfile"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// Options is what a caller decides once.
type Options struct {
	Version   string            // of the tool, "1.0.0"
	BuildID   string            // changes with every build of the tool: a cached plan of another one is not used
	Environ   map[string]string // the caller's environment
	StoreDir  string            // "" is $SANDBOX_STORE, else the XDG data folder
	Offline   bool              // store only
	AllowHTTP bool
	Log       *slog.Logger
	Report    progress.Report
	Notice    func(string) // one line for the user, said once; nil is silence
}

// Manager holds the store and the user's configuration.
type Manager struct {
	o    Options
	user *envfile.UserConfig
	l    *launch.Launcher

	storeOnce sync.Once
	store     *store.Store
	storeErr  error
	waited    atomic.Bool // for a layer that another process made

	gpus gpuAnswer
}

// Open reads the user's configuration. The store is opened when it is first needed.
func Open(o Options) (*Manager, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{o: o, l: &launch.Launcher{StoreDir: o.StoreDir, BuildID: o.BuildID, Environ: o.Environ, Log: o.Log}}
	m.l.MakeStubs = m.makeStubs
	m.l.Notice = o.Notice
	m.l.GPU = m.chooseGPU
	m.l.Explain = explainLinks
	if o.StoreDir == "" {
		m.l.StoreDir = launch.StoreDir(o.Environ)
	}
	p := launch.ConfigFile()
	b, err := smallfile.Read(p)
	switch {
	case os.IsNotExist(err):
		m.user = &envfile.UserConfig{}
	case err != nil:
		return nil, fmt.Errorf("user configuration: %w", err)
	default:
		m.l.Config = b
		if m.user, err = envfile.ParseUserConfig(p, b); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Store opens the store at its first use.
func (m *Manager) Store() (*store.Store, error) {
	m.storeOnce.Do(func() {
		m.store, m.storeErr = store.Open(m.StoreDir(), store.Options{
			Chain: m.user.Stores, Log: m.o.Log, Notice: m.o.Notice,
			Waited: func(what string) {
				m.o.Log.Info("waiting for another process", "what", what)
				if strings.HasPrefix(what, string(store.KindLayer)+" ") {
					m.waited.Store(true)
				}
			},
		})
	})
	return m.store, m.storeErr
}

// Close removes what was only for the starts of this Manager, and ends what keeps a collection away from the layers
// that this process has looked at. Nothing of the Manager can be used afterwards.
func (m *Manager) Close() error {
	m.l.Close()
	m.storeOnce.Do(func() {})
	if m.store == nil {
		return nil
	}
	return m.store.Close()
}

// StoreDir is where the store lies.
func (m *Manager) StoreDir() string { return m.l.StoreDir }

func (m *Manager) notice(format string, a ...any) {
	if m.o.Notice != nil {
		m.o.Notice(fmt.Sprintf(format, a...))
	}
}

// removeAll removes a folder of the store, and keeps quiet about what is gone already.
func removeAll(dir string) error {
	if err := store.RemoveAll(dir); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
