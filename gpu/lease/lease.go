//go:build unix

package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// Lease is what a run holds. Close gives it back, as does the end of the process.
type Lease struct{ files []*os.File }

// Close gives the lease back. A second call does nothing.
func (l *Lease) Close() error {
	var errs []error
	for _, f := range l.files {
		errs = append(errs, f.Close())
	}
	l.files = nil
	return errors.Join(errs...)
}

// Files are the locked files, for a supervisor that holds the lease after the caller ended: the lock goes
// when the last process that has the descriptor closes it. They are close-on-exec and must not reach the
// payload, which could keep the GPU for ever or unlock it.
func (l *Lease) Files() []*os.File { return slices.Clone(l.files) }

// BusyError is a GPU or slice that somebody else has.
type BusyError struct {
	ID string // UUID
	By string // who, "another run" if that cannot be read
}

func (e *BusyError) Error() string { return "leased by " + e.By + ": " + e.ID }

// Hint says how to see all of them.
func (e *BusyError) Hint() string { return "`sandbox gpu list` shows who has which" }

// target is a file to lock.
type target struct {
	id   string // whose it is
	path string
	make bool // it is ours and made if missing
	mode int  // syscall.LOCK_SH or LOCK_EX
}

// Acquire locks what was picked, in the order of UUIDs, or nothing: if one is taken it gives the others
// back and returns a [*BusyError]. It does not wait, except for the moment in which another process may
// just look. dir is the user's folder for the files of slices, made if need be.
func Acquire(ctx context.Context, roots gpu.Roots, dir string, picks []gpu.Pick, share bool) (*Lease, error) {
	targets, err := targetsOf(roots, dir, picks, share)
	if err != nil {
		return nil, err
	}
	l := &Lease{}
	for _, t := range targets {
		f, err := t.lock(ctx)
		if err == nil {
			l.files = append(l.files, f)
			continue
		}
		l.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &BusyError{ID: t.id, By: holder(roots, t.path)}
		}
		return nil, err
	}
	return l, nil
}

// targetsOf lists the files, each once, in the order of UUIDs: whoever locks in one order and gives all
// back when one is taken can neither wait in a circle nor chase another for ever.
func targetsOf(roots gpu.Roots, dir string, picks []gpu.Pick, share bool) ([]target, error) {
	var out []target
	add := func(t target, err error) error {
		if err == nil && !slices.ContainsFunc(out, func(o target) bool { return o.path == t.path }) {
			out = append(out, t)
		}
		return err
	}
	mode := syscall.LOCK_EX
	if share {
		mode = syscall.LOCK_SH
	}
	for _, p := range picks {
		if p.MIG == nil {
			if err := add(wholeTarget(roots, dir, p.Device, mode)); err != nil {
				return nil, err
			}
			continue
		}
		if err := add(wholeTarget(roots, dir, p.Device, syscall.LOCK_SH)); err != nil {
			return nil, err
		}
		if err := add(ownTarget(dir, p.MIG.UUID, mode)); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b target) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.path, b.path)) })
	return out, nil
}

// wholeTarget is the sysfs file of a GPU, or a file of the user where sysfs has none.
func wholeTarget(roots gpu.Roots, dir string, d gpu.Device, mode int) (target, error) {
	if d.BDF != "" && !strings.ContainsAny(d.BDF, "/\x00") {
		path := filepath.Join(roots.Sys, "bus/pci/devices", d.BDF, "vendor")
		if _, err := os.Stat(path); err == nil {
			return target{id: d.ID(), path: path, mode: mode}, nil
		}
	}
	return ownTarget(dir, d.ID(), mode)
}

// ownTarget is a file in the user's folder. Names of old drivers have slashes: MIG-GPU-…/7/0.
func ownTarget(dir, id string, mode int) (target, error) {
	name := strings.ReplaceAll(id, "/", "_")
	if name == "" || name[0] == '.' || strings.ContainsRune(name, 0) || len(name) > 128 {
		return target{}, fmt.Errorf("gpu lease: no name for a file: %q", id)
	}
	if dir == "" {
		return target{}, fmt.Errorf("gpu lease: no folder for the lock of %s", id)
	}
	return target{id: id, path: filepath.Join(dir, name), make: true, mode: mode}, nil
}

func (t target) open() (*os.File, error) {
	if !t.make {
		// A reader's descriptor is enough for flock, and sysfs files belong to root.
		return os.OpenFile(t.path, os.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	}
	if err := os.MkdirAll(filepath.Dir(t.path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, hint.With(err, "the folder of leases has to be the user's own: XDG_RUNTIME_DIR says where it is")
	}
	return f, nil
}

// glances is how long somebody who only looks may hold a lock: [Held] gives it back at once.
var glances = []time.Duration{time.Millisecond, 3 * time.Millisecond, 9 * time.Millisecond}

// lock takes the lock or says EWOULDBLOCK.
func (t target) lock(ctx context.Context) (*os.File, error) {
	f, err := t.open()
	if err != nil {
		return nil, fmt.Errorf("gpu lease: %w", err)
	}
	for i := 0; ; i++ {
		err = flock(f, t.mode|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || i == len(glances) {
			break
		}
		if err := sleep(ctx, glances[i]+rand.N(glances[i])); err != nil {
			f.Close()
			return nil, err
		}
	}
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, err
	}
	return nil, fmt.Errorf("gpu lease: lock: %w", &fs.PathError{Op: "flock", Path: t.path, Err: err})
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
