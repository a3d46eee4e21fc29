package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/rmtree"
	"github.com/4cc2e759/sandbox/internal/sealed"
	"github.com/4cc2e759/sandbox/internal/smallfile"
	"github.com/4cc2e759/sandbox/sandbox/plan"
)

// Instance is one sandbox on disk:
//
//	sandboxes-v1/<name>/
//	    upper/ work/   the writable layer and overlay's own folder
//	    tmp/           /tmp
//	    state.json     kept sandboxes: what it is, written last
//
// The folder itself is flock'ed while the sandbox runs, so that the lock dies with the process and a
// throw-away sandbox whose lock is free is rubbish.
type Instance struct {
	Dir   string
	Name  string
	Spare bool // beside a store that cannot be written: never kept

	lock    *os.File
	cleared bool
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
	Layers  []string  `json:"layers,omitempty"` // names in the store, for gc

	GPU json.RawMessage `json:"gpu,omitempty"` // what the last start got, and what was passed over for it
}

// ErrRunning says that a sandbox of this name is in use.
var ErrRunning = errors.New("sandbox is running")

// ValidName tells whether name can be a folder and a host name.
func ValidName(name string) bool {
	if len(name) == 0 || len(name) > 63 || strings.IndexByte("._-", name[0]) >= 0 {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// CheckName refuses names that could not be a folder or a host name.
func CheckName(name string) error {
	if !ValidName(name) {
		return fmt.Errorf("not a sandbox name: %q: lower-case letters, digits, dot, dash and underscore, at most 63", name)
	}
	return nil
}

// Sandboxes is the folder of all of them.
func (l *Launcher) Sandboxes() string { return filepath.Join(l.StoreDir, "sandboxes-v1") }

// New makes a throw-away sandbox, locked. Where the store cannot be written it lies beside it, and that is said.
func (l *Launcher) New() (*Instance, error) {
	// Any name that is free will do: the store is its user's alone. crypto/rand would be dear to link.
	in, err := l.Open(throwawayPrefix + strconv.FormatUint(rand.Uint64(), 36))
	if errors.Is(err, ErrReadOnly) && !l.Front {
		return l.newSpare()
	}
	return in, err
}

// Open takes or makes the sandbox of this name and locks it. The lock is taken on the
// opened folder and the path looked at again, so that a folder removed meanwhile is never used.
func (l *Launcher) Open(name string) (*Instance, error) {
	dir := filepath.Join(l.Sandboxes(), name)
	for try := 0; ; try++ {
		err := os.Mkdir(dir, 0o700)
		if errors.Is(err, os.ErrNotExist) && try == 0 {
			if err = os.MkdirAll(l.Sandboxes(), 0o700); err == nil {
				continue
			}
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return nil, l.ReadOnly(err)
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
			in := &Instance{Dir: dir, Name: name, lock: f}
			if err := in.makeDirs(); err != nil {
				f.Close()
				return nil, l.ReadOnly(err)
			}
			return in, nil
		}
		f.Close()
	}
}

func sameFile(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

func (in *Instance) makeDirs() error {
	for _, d := range []string{"upper", "work", "tmp"} {
		if err := os.Mkdir(filepath.Join(in.Dir, d), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	// Not by Mkdir: the umask would take the sticky bit's company away.
	return os.Chmod(filepath.Join(in.Dir, "tmp"), 0o1777|os.ModeSticky)
}

// clear takes the folders away if nothing was written, in a few calls. It may be called as soon as the
// program has ended, while the kernel is still taking the mounts apart: what a process that it left
// behind still writes stays, for [Instance.Remove].
func (in *Instance) clear() {
	in.cleared = true
	// What overlay leaves of a volatile upper, innermost first. Its folders have no permissions.
	dirty := filepath.Join(in.Dir, "work", "work", "incompat", "volatile", "dirty")
	if syscall.Unlink(dirty) == syscall.EACCES {
		for _, d := range []string{"work/work", "work/work/incompat", "work/work/incompat/volatile"} {
			if unix.Fchmodat(unix.AT_FDCWD, filepath.Join(in.Dir, d), 0o700, unix.AT_SYMLINK_NOFOLLOW) != nil {
				break // an older kernel
			}
		}
		syscall.Unlink(dirty)
	}
	for _, d := range []string{"work/work/incompat/volatile", "work/work/incompat", "work/work", "work", "upper", "tmp"} {
		if err := syscall.Rmdir(filepath.Join(in.Dir, d)); err != nil && err != syscall.ENOENT {
			return
		}
	}
}

// Remove deletes the sandbox and releases its lock.
func (in *Instance) Remove() error {
	defer in.lock.Close()
	if !in.cleared {
		in.clear()
	}
	if syscall.Rmdir(in.Dir) == nil {
		return nil
	}
	_, err := rmtree.Remove(in.Dir)
	return err
}

// Close releases the lock and keeps the sandbox; its /tmp is emptied.
func (in *Instance) Close() error {
	defer in.lock.Close()
	_, err := rmtree.Remove(filepath.Join(in.Dir, "tmp"))
	return err
}

// State reads what is known of a kept sandbox; nil if nothing is.
func (in *Instance) State() (*State, error) {
	b, err := smallfile.ReadOwn(filepath.Join(in.Dir, "state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		b, err = sealed.Open(b)
	}
	s := new(State)
	if err == nil {
		err = json.Unmarshal(b, s)
	}
	if err != nil {
		return nil, fmt.Errorf("state of sandbox %s: %w", in.Name, err)
	}
	return s, nil
}

// StateOf is what is remembered of a sandbox on environment e, as of now.
func StateOf(e *plan.Env, project string) State {
	s := State{Env: e.Digest, Project: project, UID: e.User.UID, GID: e.User.GID, Ended: time.Now().UTC()}
	for _, l := range e.Lowers {
		dir, tree := filepath.Split(l.Path) // …/layers-v1/NAME/fs
		if name := filepath.Base(dir); tree == "fs" {
			s.Layers = append(s.Layers, name)
		}
	}
	return s
}

// SetState notes what is known of a kept sandbox.
func (in *Instance) SetState(s State) error {
	s.Name = in.Name
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(in.Dir, "state.json"), sealed.Seal(b), 0o600)
}

// Kept lists the kept ones.
func (l *Launcher) Kept() ([]State, error) {
	entries, err := os.ReadDir(l.Sandboxes())
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
		in := &Instance{Dir: filepath.Join(l.Sandboxes(), e.Name()), Name: e.Name()}
		s, err := in.State()
		if err != nil {
			return out, hint.With(err, "sandbox rm "+e.Name()+" removes it with all that was changed in it")
		}
		if s == nil {
			s = &State{Name: e.Name()}
		}
		out = append(out, *s)
	}
	return out, nil
}

// Running tells whether a kept sandbox is in use now.
func (l *Launcher) Running(name string) bool {
	f, err := os.Open(filepath.Join(l.Sandboxes(), name))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// RemoveKept deletes a kept sandbox that is not running.
func (l *Launcher) RemoveKept(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(l.Sandboxes(), name)); err != nil {
		return hint.With(fmt.Errorf("no sandbox %s", name), "sandbox ps -a lists them")
	}
	in, err := l.Open(name)
	if err != nil {
		return err
	}
	return in.Remove()
}

// shellKept is how long a project's last shell stays.
const shellKept = 7 * 24 * time.Hour

// Swept tells whether [Launcher.Sweep] removes the sandbox of s: it is a shell that nobody resumed for a week.
func (s *State) Swept() bool { return s.Shell && time.Since(s.Ended) > shellKept }

// Sweep removes throw-away sandboxes whose processes are gone, and shells that nobody resumed for a
// week.
func (l *Launcher) Sweep() {
	entries, _ := os.ReadDir(l.Sandboxes())
	for _, e := range entries {
		if l.swept(&Instance{Dir: filepath.Join(l.Sandboxes(), e.Name()), Name: e.Name()}) {
			l.sweep(e.Name())
		}
	}
}

func (l *Launcher) swept(in *Instance) bool {
	if strings.HasPrefix(in.Name, throwawayPrefix) {
		return true
	}
	s, err := in.State()
	return err == nil && s != nil && s.Swept()
}

// sweep removes one sandbox if nobody uses it. It is looked at again under its lock: the shell may have been resumed
// and have ended since.
func (l *Launcher) sweep(name string) {
	in, err := l.Open(name)
	if err != nil {
		return
	}
	if l.swept(in) {
		err = in.Remove()
	} else {
		err = in.Close()
	}
	if err != nil {
		l.Log.Debug("sandbox not removed", "name", name, "err", err)
	}
}
