package build

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/images/store"
)

const (
	// aWrite is more than nearly every single write of a program: where not even that fits, a program
	// that failed has failed for want of room.
	aWrite = 1 << 20
	// littleRoom is what is left at most on a disk that a program can have found full: it gives up at the
	// file that does not fit, and removes what it has of it.
	littleRoom = 1 << 30
)

// noRoom tells whether a command that failed found the disk of dir full, or its user's quota; nil if not.
// The kernel is asked by a write: a quota shows in no other way. What the command said counts only where
// little is left, since a Box has small file systems of its own in memory.
func noRoom(dir, said string) *store.SpaceError {
	var full *store.SpaceError
	if errors.As(store.Space(tryWrite(dir, aWrite), "write", dir), &full) {
		return full
	}
	said = strings.ToLower(said)
	if strings.Contains(said, "quota exceeded") {
		return &store.SpaceError{Op: "write", Path: dir, Quota: true, Err: syscall.EDQUOT}
	}
	var st syscall.Statfs_t
	if strings.Contains(said, "no space left on device") && syscall.Statfs(dir, &st) == nil && uint64(st.Bavail)*uint64(st.Bsize) < littleRoom {
		return &store.SpaceError{Op: "write", Path: dir, Err: syscall.ENOSPC}
	}
	return nil
}

// tryWrite writes n bytes to a file in dir, and removes it.
func tryWrite(dir string, n int) error {
	f, err := os.CreateTemp(dir, ".room-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, n))
	return errors.Join(err, f.Close())
}

// without goes on after an error where something else can take the place of what there is not. Nothing may
// take the place of what there was only no room for: with room the lock would be another.
func (b *Builder) without(what string, err error) {
	b.log().Info("without "+what, "err", err)
	var full *store.SpaceError
	if errors.As(store.Space(err, "write", b.Store.Dir()), &full) {
		b.full = err
	}
}

// roomError is the error of a full disk or quota that a command in a Box met, or nil.
func roomError(err error) error {
	var exit *ExitError
	if errors.As(err, &exit) && exit.Room != nil {
		return exit.Room
	}
	return nil
}
