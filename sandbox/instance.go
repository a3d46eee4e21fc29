package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/lazyregexp"
	"github.com/4cc2e759/sandbox/sandbox/plan"
)

// instance is one sandbox on disk:
//
//	sandboxes-v1/<name>/
//	    upper/ work/   the writable layer and overlay's own folder
//	    tmp/           /tmp
//	    state.json     kept sandboxes: what it is, written last
//
// The folder itself is flock'ed while the sandbox runs, so that the lock dies with the process and a
// throw-away sandbox whose lock is free is rubbish.
type instance struct {
	Dir  string
	Name string
	lock *os.File
}

// throwawayPrefix names sandboxes that nobody keeps; kept names cannot begin with a dot.
const throwawayPrefix = ".run-"

// State is what is known about a kept sandbox.
type State struct {
	Name    string    `json:"name"`
	Env     string    `json:"env"`     // digest of the environment it stands on
	Project string    `json:"project"` // folder, "" for an image
	UID     int       `json:"uid"`     // inside
	GID     int       `json:"gid"`
	Shell   bool      `json:"shell,omitempty"` // the last shell of its project, kept for a week
	Ended   time.Time `json:"ended"`
}

// ErrRunning says that a sandbox of this name is in use.
var ErrRunning = errors.New("sandbox is running")

var nameRE = lazyregexp.New(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// CheckName refuses names that could not be a folder or a host name.
func CheckName(name string) error {
	if !nameRE.MatchString(name) {
		return fmt.Errorf("not a sandbox name: %q: lower-case letters, digits, dot, dash and underscore, at most 63", name)
	}
	return nil
}

func (m *Manager) sandboxes() string { return filepath.Join(m.StoreDir(), "sandboxes-v1") }

// newInstance makes a throw-away sandbox, locked.
func (m *Manager) newInstance() (*instance, error) {
	var b [6]byte
	rand.Read(b[:])
	return m.openInstance(throwawayPrefix + hex.EncodeToString(b[:]))
}

// openInstance takes or makes the sandbox of this name and locks it. The lock is taken on the
// opened folder and the path looked at again, so that a folder removed meanwhile is never used.
func (m *Manager) openInstance(name string) (*instance, error) {
	dir := filepath.Join(m.sandboxes(), name)
	for try := 0; ; try++ {
		err := os.Mkdir(dir, 0o700)
		if errors.Is(err, os.ErrNotExist) && try == 0 {
			if err = os.MkdirAll(m.sandboxes(), 0o700); err == nil {
				continue
			}
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		f, err := os.Open(dir)
		if errors.Is(err, os.ErrNotExist) && try < 10 {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, hint.With(fmt.Errorf("%w: %s", ErrRunning, name), "sandbox rm "+name+" removes it once it has ended; another --name makes another")
			}
			return nil, err
		}
		if sameFile(f, dir) {
			in := &instance{Dir: dir, Name: name, lock: f}
			return in, in.makeDirs()
		}
		f.Close()
	}
}

func sameFile(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

func (in *instance) makeDirs() error {
	for _, d := range []string{"upper", "work", "tmp"} {
		if err := os.Mkdir(filepath.Join(in.Dir, d), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	// Not by Mkdir: the umask would take the sticky bit's company away.
	return os.Chmod(filepath.Join(in.Dir, "tmp"), 0o1777|os.ModeSticky)
}

// Remove deletes the sandbox and releases its lock. The usual case, nothing written, is a few calls.
func (in *instance) Remove() error {
	defer in.lock.Close()
	// What overlay leaves of a volatile upper, innermost first.
	syscall.Unlink(filepath.Join(in.Dir, "work", "work", "incompat", "volatile", "dirty"))
	for _, d := range []string{"work/work/incompat/volatile", "work/work/incompat", "work/work", "work", "upper", "tmp"} {
		syscall.Rmdir(filepath.Join(in.Dir, d))
	}
	if syscall.Rmdir(in.Dir) == nil {
		return nil
	}
	return removeAll(in.Dir)
}

// Close releases the lock and keeps the sandbox; its /tmp is emptied.
func (in *instance) Close() error {
	defer in.lock.Close()
	return removeAll(filepath.Join(in.Dir, "tmp"))
}

func (in *instance) state() (*State, error) {
	b, err := os.ReadFile(filepath.Join(in.Dir, "state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := new(State)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("state of sandbox %s: %w", in.Name, err)
	}
	return s, nil
}

// stateOf is what is remembered of a sandbox on environment e, as of now.
func stateOf(e *plan.Env, project string) State {
	return State{Env: e.Digest, Project: project, UID: e.User.UID, GID: e.User.GID, Ended: time.Now().UTC()}
}

func (in *instance) setState(s State) error {
	s.Name = in.Name
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(in.Dir, "state.json"), append(b, '\n'), 0o600)
}

// Sandboxes lists the kept ones.
func (m *Manager) Sandboxes() ([]State, error) {
	entries, err := os.ReadDir(m.sandboxes())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []State
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		in := &instance{Dir: filepath.Join(m.sandboxes(), e.Name()), Name: e.Name()}
		s, err := in.state()
		if err != nil {
			return out, err
		}
		if s == nil {
			s = &State{Name: e.Name()}
		}
		out = append(out, *s)
	}
	return out, nil
}

// Running tells whether a kept sandbox is in use now.
func (m *Manager) Running(name string) bool {
	f, err := os.Open(filepath.Join(m.sandboxes(), name))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// RemoveSandbox deletes a kept sandbox that is not running.
func (m *Manager) RemoveSandbox(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(m.sandboxes(), name)); err != nil {
		return hint.With(fmt.Errorf("no sandbox %s", name), "sandbox ps -a lists them")
	}
	in, err := m.openInstance(name)
	if err != nil {
		return err
	}
	return in.Remove()
}

// sweep removes throw-away sandboxes whose processes are gone, and shells that nobody resumed for a
// week.
func (m *Manager) sweep() {
	entries, _ := os.ReadDir(m.sandboxes())
	for _, e := range entries {
		old := strings.HasPrefix(e.Name(), throwawayPrefix)
		if !old {
			in := &instance{Dir: filepath.Join(m.sandboxes(), e.Name()), Name: e.Name()}
			s, err := in.state()
			old = err == nil && s != nil && s.Shell && time.Since(s.Ended) > 7*24*time.Hour
		}
		if !old {
			continue
		}
		if in, err := m.openInstance(e.Name()); err == nil {
			if err := in.Remove(); err != nil {
				m.o.Log.Debug("sandbox not removed", "name", e.Name(), "err", err)
			}
		}
	}
}
