//go:build !linux

package testenv

import (
	"os/exec"
	"testing"
)

// User is an account that a test can run programs as; on Linux only.
type User struct {
	Name     string
	UID, GID int
	Home     string
}

// As skips the test.
func As(t testing.TB, _ string) *User {
	t.Skip(errLinux)
	return nil
}

// Own does nothing.
func (u *User) Own(testing.TB, ...string) {}

// Command is the program as the current user.
func (u *User) Command(name string, args ...string) *exec.Cmd { return exec.Command(name, args...) }

// OnTmpfs is Command.
func (u *User) OnTmpfs(_, _, name string, args ...string) *exec.Cmd { return u.Command(name, args...) }
