//go:build unix

package lockfile

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// Whoever removes the files of free locks, as the store's collection does, takes the lock first; no two hold it at once.
func TestOneHolderWhileLockFilesAreRemoved(t *testing.T) {
	path := t.TempDir() + "/lock"
	var inside, twice, rounds atomic.Int32
	done := make(chan struct{})
	var lockers, remover sync.WaitGroup
	remover.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if l, err := TryLock(path, Exclusive); err == nil {
				os.Remove(path)
				l.Close()
			}
		}
	})
	for range 4 {
		lockers.Go(func() {
			for range 500 {
				l, err := Lock(context.Background(), path, Exclusive, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) > 1 {
					twice.Add(1)
				}
				os.Lstat(path) // a moment in which others run
				inside.Add(-1)
				rounds.Add(1)
				l.Close()
			}
		})
	}
	lockers.Wait()
	close(done)
	remover.Wait()
	if twice.Load() > 0 || rounds.Load() != 2000 {
		t.Errorf("%d of %d times two had it at once", twice.Load(), rounds.Load())
	}
}

// The same, step by step: the file is removed, or another is in its place, between the open and the flock.
func TestRemovedBeforeItIsLocked(t *testing.T) {
	path := t.TempDir() + "/lock"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if ok, err := take(path, f, Exclusive); ok || err != nil {
		t.Errorf("a file without a name was locked: %v, %v", ok, err)
	}
	l, err := TryLock(path, Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ok, err := take(path, f, Exclusive); ok || err != nil {
		t.Errorf("a second holder: %v, %v", ok, err)
	}
}

func TestSharedAndExclusive(t *testing.T) {
	path := t.TempDir() + "/lock"
	a, err := TryLock(path, Shared)
	if err != nil {
		t.Fatal(err)
	}
	b, err := TryLock(path, Shared)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(path, Exclusive); err != ErrLocked {
		t.Errorf("beside two that share it: %v", err)
	}
	a.Close()
	b.Close()
	c, err := TryLock(path, Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := Lock(ctx, path, Shared, cancel); err != context.Canceled {
		t.Errorf("told to end while waiting: %v", err)
	}
	c.Close()
	if err := os.Symlink("/etc/passwd", path+"-link"); err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(path+"-link", Exclusive); err == nil || err == ErrLocked {
		t.Errorf("a link: %v", err)
	}
}
