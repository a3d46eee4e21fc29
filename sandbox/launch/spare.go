package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/rmtree"
)

// ErrReadOnly says that the store cannot be written by this user.
var ErrReadOnly = errors.New("the store is read-only")

// ReadOnly turns what the kernel says of a folder of the store into ErrReadOnly, with the way on.
func (l *Launcher) ReadOnly(err error) error {
	if !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.EACCES) {
		return err
	}
	return hint.With(fmt.Errorf("%w: %w", ErrReadOnly, err),
		"set SANDBOX_STORE to a folder that you can write, and add this one to the user's config.toml: stores = [\""+l.StoreDir+"\"]")
}

// sparePrefix names the folders below TMPDIR.
const sparePrefix = "sandbox-spare-"

// Spare is a folder for what a start has to write where the store cannot be written: it lies in the user's
// temporary folder, and goes with [Launcher.Close]. It is locked, as a sandbox is; what a process that was killed has
// left is removed by the next that needs one.
func (l *Launcher) Spare() (string, error) {
	if l.spare != nil {
		return l.spare.Name(), nil
	}
	var errs []error
	for _, above := range []string{os.TempDir(), l.Environ["XDG_RUNTIME_DIR"], "/tmp"} {
		if above == "" {
			continue
		}
		sweepSpare(above)
		f, err := makeSpare(above)
		if err == nil {
			l.spare = f
			return f.Name(), nil
		}
		errs = append(errs, err)
	}
	return "", errs[0]
}

// makeSpare makes a folder and locks it; another process may take it for left behind between the two.
func makeSpare(above string) (*os.File, error) {
	for try := 0; ; try++ {
		dir, err := os.MkdirTemp(above, sparePrefix)
		if err != nil {
			return nil, err
		}
		f, err := os.Open(dir)
		if err == nil {
			if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil && sameFile(f, dir) {
				return f, nil
			}
			f.Close()
		}
		if try == 10 {
			return nil, fmt.Errorf("temporary folder %s: %w", dir, err)
		}
	}
}

// sweepSpare removes spare folders of ours whose process is gone.
func sweepSpare(above string) {
	dirs, _ := filepath.Glob(filepath.Join(above, sparePrefix+"*"))
	for _, dir := range dirs {
		var st syscall.Stat_t
		if syscall.Lstat(dir, &st) != nil || int(st.Uid) != os.Getuid() || st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			continue
		}
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && sameFile(f, dir) {
			rmtree.Remove(dir)
		}
		f.Close()
	}
}

// Close removes what was only for the starts of this process.
func (l *Launcher) Close() {
	if l.spare == nil {
		return
	}
	rmtree.Remove(l.spare.Name())
	l.spare.Close()
	l.spare = nil
}

// newSpare is a throw-away sandbox beside a store that cannot be written.
func (l *Launcher) newSpare() (*Instance, error) {
	dir, err := l.Spare()
	if err != nil {
		return nil, err
	}
	if l.runs++; l.runs == 1 {
		l.notice("the store is read-only: what is written outside of the project lies in " + dir + ", and is thrown away")
	}
	in := &Instance{Dir: filepath.Join(dir, "run-"+strconv.Itoa(l.runs)), Spare: true}
	if err := os.Mkdir(in.Dir, 0o700); err != nil {
		return nil, err
	}
	if in.lock, err = os.Open(in.Dir); err != nil {
		return nil, err
	}
	return in, in.makeDirs()
}

// cacheDir makes a folder of caches-v1, or one that is thrown away for a sandbox beside the store.
func (l *Launcher) cacheDir(in *Instance, elem ...string) (string, error) {
	if in.Spare {
		dir := filepath.Join(in.Dir, "cache", strings.Join(elem, "-"))
		return dir, os.MkdirAll(dir, 0o700)
	}
	dir := filepath.Join(append([]string{l.StoreDir, "caches-v1"}, elem...)...)
	err := os.Mkdir(dir, 0o700)
	if err == nil || errors.Is(err, os.ErrExist) {
		return dir, nil
	}
	return dir, l.ReadOnly(os.MkdirAll(dir, 0o700))
}
