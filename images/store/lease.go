package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
)

// Kind is what a name in the store stands for.
type Kind string

// The kinds. Images, which are names alone, are not collected.
const (
	KindBlob    Kind = "blob"
	KindPartial Kind = "partial"
	KindLayer   Kind = "layer"
	KindWheel   Kind = "wheel"
	KindImage   Kind = "image"
)

const leasePrefix = "lease-"

// leaseFile lists what this Store relies on before anything durable refers to it. It is locked as long
// as it counts.
type leaseFile struct {
	f     *os.File
	names map[string]bool
}

// leaseNames adds names to the lease. The name is written before the caller looks whether it exists,
// and under the shared side of the lock that GC takes for deleting: either the caller finds the thing
// and GC sees the lease, or GC was first and the caller finds nothing.
func (s *Store) leaseNames(ctx context.Context, kind Kind, names ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.collecting {
		return nil
	}
	var lines []string
	for _, n := range names {
		line := string(kind) + " " + n
		if n != "" && (s.lease == nil || !s.lease.names[line]) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	if err := s.beginLease(); err != nil {
		return err
	}
	gc, err := lock(ctx, s.Path(Locks, "gc"), os.O_RDWR|os.O_CREATE, syscall.LOCK_SH, s.waited("gc"))
	if err != nil {
		return err
	}
	defer gc.Close()
	// The line break comes first: it ends a line that a full disk has cut.
	text := "\n" + strings.Join(lines, "\n")
	err = s.step("write", s.lease.f.Name(), func() error { _, err := io.WriteString(s.lease.f, text); return err })
	if err != nil {
		return err
	}
	for _, l := range lines {
		s.lease.names[l] = true
	}
	return nil
}

// leaseQuietly is for readers: on a store that cannot be written nobody deletes either, and one that was opened
// to be fast has nothing but marks.
func (s *Store) leaseQuietly(ctx context.Context, kind Kind, names ...string) {
	if s.o.Fast {
		return
	}
	if err := s.leaseNames(ctx, kind, names...); err != nil && !errors.Is(err, ErrReadOnly) {
		s.log.Debug("no lease", "names", names, "err", err)
	}
}

func (s *Store) beginLease() error {
	if s.lease != nil {
		return nil
	}
	for {
		path := s.Path(Locks, fmt.Sprintf("%s%016x", leasePrefix, rand.Uint64()))
		err := s.step("create", path, func() error {
			f, err := tryLock(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, syscall.LOCK_EX)
			if err == nil {
				s.lease = &leaseFile{f, map[string]bool{}}
			}
			return err
		})
		if !errors.Is(err, errLocked) { // else a collection took it for a dead one, between two steps
			return err
		}
	}
}

func (s *Store) endLease() error {
	if s.lease == nil {
		return nil
	}
	os.Remove(s.lease.f.Name())
	err := s.lease.f.Close()
	s.lease = nil
	return err
}

// leased reads the leases of all living processes. The caller holds the gc lock, so none is added.
func (s *Store) leased() (map[string]bool, error) {
	d, err := os.ReadDir(s.Path(Locks))
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, e := range d {
		if !strings.HasPrefix(e.Name(), leasePrefix) {
			continue
		}
		path := s.Path(Locks, e.Name())
		f, err := tryLock(path, os.O_RDWR, syscall.LOCK_EX)
		if err == nil { // its owner is dead
			os.Remove(path)
			f.Close()
			continue
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read a lease: %w", err)
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			out[line] = true
		}
	}
	return out, nil
}
