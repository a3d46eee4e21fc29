package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// The folders of a store. A change of format is a folder with another number.
const (
	Blobs     = "blobs-v1/sha256"
	Partial   = "blobs-v1/partial"
	Layers    = "layers-v1"
	Wheels    = "wheels-v1"
	Envs      = "envs-v1"
	ImageRefs = "images-v1"
	Sandboxes = "sandboxes-v1"
	Volumes   = "volumes-v1"
	Runs      = "runs-v1"
	Roots     = "roots-v1"
	Caches    = "caches-v1"
	Locks     = "locks"
	Temp      = "tmp"
)

func folders() []string {
	return []string{"blobs-v1", Blobs, Partial, Layers, Wheels, Envs, ImageRefs, Sandboxes, Volumes, Runs, Roots, Caches, Locks, Temp}
}

// Options of a store. The zero value is fine.
type Options struct {
	// Chain are folders of other stores that are only read. They are looked at before the own one, but for the names of
	// images: what the user called so comes first.
	Chain []string
	// Log is told about what is unusual; nil discards.
	Log *slog.Logger
	// Notice, if set, is told in one line what is not as it should be and is made good; each line once.
	Notice func(string)
	// Fast trusts that the folders are there and leaves what dead processes left behind: one system
	// call. It is meant for starting what is already built.
	Fast bool
	// Waited, if set, is called once for each wait on another process, with what is waited for.
	Waited func(what string)
	// Faults, if set, is asked before each write to the disk and can make it fail; for tests.
	Faults func(op, path string) error
}

// Store is an open store. It must not be copied.
type Store struct {
	dir string
	o   Options
	log *slog.Logger

	mu         sync.Mutex
	lease      *leaseFile
	collecting bool // by GC: nothing is leased
	said       map[string]bool
	right      map[string]bool // blobs whose content was compared, for a size that was not theirs
}

// Open opens the store in dir and makes it if it is not there. The error is a *FilesystemError where
// dir is on a network file system, or, when it is made, on one that lacks what it cannot do without. A store that cannot be written opens all the same.
//
// What an open store promises:
//
//   - A final name exists only after everything below it was written, verified, synced and renamed. A process
//     that is killed, a full disk or a power cut leaves the old state or the new one, and nothing that has to be
//     cleaned by hand: what a dead process left half done is removed by the next Open, or continued. What takes
//     longer than a second to remove is left to those after it; [Store.GC] removes all of it.
//   - Any number of processes of one machine may pull, build, run, collect and list at once, each with a Store of
//     its own or sharing one. Locks are flocks on open files: they die with their process, and no clock is asked.
//   - What a process has leased (whatever finds or makes something does) or marked as used ([Store.Use]) is not
//     collected, however the collection was begun.
//   - A write that fails for want of room is a *[SpaceError], one that is not allowed [ErrReadOnly]; the same
//     call works when the reason is gone.
//   - Everything below blobs-v1, layers-v1, wheels-v1 and images-v1 can be checked ([Store.Verify]) and be
//     made again. Of what is not looked at in full when it is used, sizes are compared.
//   - A store of the chain is only read, and no file is needed there to lock.
//   - A store that a newer version has made its own is a *[FormatError], and nothing is written to it.
func Open(dir string, o Options) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: abs, o: o, log: o.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	err = s.check(abs)
	created := errors.Is(err, fs.ErrNotExist) && !o.Fast
	if created {
		if err := s.create(); err != nil {
			return nil, err
		}
		err = s.check(abs)
	}
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	noted, err := s.checkFormat()
	if err != nil {
		return nil, err
	}
	if o.Fast {
		return s, nil
	}
	if noted {
		err = s.makeFolders()
	} else {
		err = s.noteFormat()
	}
	if err != nil {
		if created {
			os.Remove(abs) // if nothing is in it
		}
		return nil, err
	}
	s.removeStale(moment())
	return s, nil
}

func (s *Store) check(path string) error {
	kind, err := filesystem(path)
	if err != nil {
		return err
	}
	return checkFilesystem(path, kind)
}

// create makes the store's folder, unless it would be on a file system that cannot have it.
func (s *Store) create() error {
	for above := filepath.Dir(s.dir); ; above = filepath.Dir(above) {
		err := s.check(above)
		if errors.Is(err, fs.ErrNotExist) && above != "/" {
			continue
		}
		if err != nil {
			return fmt.Errorf("make the store: %w", err)
		}
		break
	}
	// Private: layers hold set-user-id files of strangers, which no other user of the host may reach.
	if err := s.step("mkdir", s.dir, func() error { return os.MkdirAll(s.dir, 0o700) }); err != nil {
		return fmt.Errorf("make the store: %w", err)
	}
	return nil
}

// makeFolders also finds a folder that is a mount of its own, where every rename from tmp would fail.
func (s *Store) makeFolders() error {
	top, err := os.Stat(s.dir)
	if err != nil {
		return err
	}
	if !top.IsDir() {
		return fmt.Errorf("open the store: %s is not a folder", s.dir)
	}
	for _, f := range folders() {
		p := s.Path(f)
		err := s.step("mkdir", p, func() error { return os.Mkdir(p, 0o755) })
		switch {
		case err == nil:
			continue
		case readOnly(err):
			s.log.Debug("the store cannot be written", "path", p, "err", err)
			return nil
		case !errors.Is(err, fs.ErrExist):
			return fmt.Errorf("make the store: %w", err)
		}
		if fi, err := os.Stat(p); err == nil && device(fi) != device(top) {
			return hint.With(fmt.Errorf("%s is on another file system than the store", p),
				"a store must be one file system; move it as a whole with SANDBOX_STORE")
		}
	}
	return nil
}

func device(fi fs.FileInfo) uint64 { return uint64(fi.Sys().(*syscall.Stat_t).Dev) }

func readOnly(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM)
}

// Dir is the store's own folder, absolute.
func (s *Store) Dir() string { return s.dir }

// Path joins names below the store's folder; the first is one of the folder constants.
func (s *Store) Path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// dirs are the folders in which to look for things, in order.
func (s *Store) each(yield func(dir string, own bool) bool) {
	for _, d := range s.o.Chain {
		if !yield(d, false) {
			return
		}
	}
	yield(s.dir, true)
}

// Close ends the leases of this Store. A process that exits need not call it.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endLease()
}

// notice says a line once.
func (s *Store) notice(line string) {
	s.mu.Lock()
	first := !s.said[line]
	if first {
		if s.said == nil {
			s.said = map[string]bool{}
		}
		s.said[line] = true
	}
	s.mu.Unlock()
	if first && s.o.Notice != nil {
		s.o.Notice(line)
	}
}

func (s *Store) waited(what string) func() {
	if s.o.Waited == nil {
		return nil
	}
	return func() { s.o.Waited(what) }
}
