package sandbox

import "github.com/4cc2e759/sandbox/sandbox/launch"

// State is what is known about a kept sandbox.
type State = launch.State

// ErrRunning says that a sandbox of this name is in use.
var ErrRunning = launch.ErrRunning

// CheckName refuses names that could not be a folder or a host name.
func CheckName(name string) error { return launch.CheckName(name) }

// Sandboxes lists the kept ones.
func (m *Manager) Sandboxes() ([]State, error) { return m.l.Kept() }

// Running tells whether a kept sandbox is in use now.
func (m *Manager) Running(name string) bool { return m.l.Running(name) }

// RemoveSandbox deletes a kept sandbox that is not running.
func (m *Manager) RemoveSandbox(name string) error { return m.l.RemoveKept(name) }
