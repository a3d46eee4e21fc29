// Package testenv is what tests stand on: conditions of the host that are probed and never assumed,
// and real servers, users and file systems that end with the test. Only tests import it.
//
// Use [Need] first: it skips a test whose conditions the host does not meet, and says why. A list in
// SANDBOX_TEST_MUST turns such a skip into a failure, so that in CI nothing is left out unseen.
package testenv

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// MustVar names the variable that lists, with commas or spaces, the conditions that have to hold.
const MustVar = "SANDBOX_TEST_MUST"

// A condition is probed once in a process; nil means that it holds.
type condition struct {
	about string
	probe func() error
}

var conditions = map[string]condition{
	"userns":     {"this user may make user namespaces", once(probeUserns)},
	"overlay":    {"overlay with userxattr works on the disk of temporary files", once(probeOverlay)},
	"root":       {"the tests run as root", once(probeRoot)},
	"users":      {"users " + WithSubuid + " (with a subuid range) and " + WithoutSubuid + " (without) exist", once(probeUsers)},
	"subuid":     {"this user has a subuid range and newuidmap", once(probeSubuid)},
	"devcgroup":  {"root may make device cgroups (cgroup v1)", once(probeDevices)},
	"groups":     {"this user may make groups of cgroup v2", once(probeGroups)},
	"cgroup":     {"this user may make groups of a cgroup v2 that has a controller switched on", once(func() error { return probeCgroup() })},
	"limits":     {"this user may make groups of a cgroup v2 that cap memory, cpu and pids", once(func() error { return probeCgroup("memory", "cpu", "pids") })},
	"mknod":      {"this user may make device nodes", once(probeMknod)},
	"git":        {"git and its http-backend", once(probeGit)},
	"go":         {"the go tool", once(program("go"))},
	"make":       {"make", once(program("make"))},
	"bash":       {"bash", once(program("bash"))},
	"zsh":        {"zsh", once(program("zsh"))},
	"fish":       {"fish", once(program("fish"))},
	"tmux":       {"tmux, for a real terminal", once(program("tmux"))},
	"strace":     {"strace", once(program("strace"))},
	"loop":       {"root, mkfs.ext4 and loop devices: a disk in a file", once(probeLoop)},
	"skopeo":     {"skopeo, to push images", once(program("skopeo"))},
	"registry":   {"docker-registry and htpasswd", once(programs("docker-registry", "htpasswd"))},
	"cc":         {"a C compiler, for the GPU probe and the driver library that tests make up", once(program("gcc"))},
	"mmdebstrap": {"mmdebstrap, the oracle of deb: bases", once(program("mmdebstrap"))},
	"busybox":    {"a static busybox", once(probeBusybox)},
	"docker":     {"root, dockerd and docker", once(asRoot("dockerd", "docker", "containerd", "runc"))},
	"containerd": {"root, containerd and ctr", once(asRoot("containerd", "ctr", "runc"))},
	"podman":     {"podman with runc, for root or a user with a subuid range", once(probePodman)},
	"umoci":      {"umoci, which unpacks images", once(program("umoci"))},
	"mirror":     {"the host's apt sources answer", once(probeMirror)},
	"index":      {"pip's index of Python packages answers", once(probeIndex)},
}

// Names lists the conditions, sorted.
func Names() []string {
	var names []string
	for name := range conditions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Check returns nil if the condition holds on this host, else why not. A condition that must hold and
// does not is a [MustError].
func Check(name string) error {
	c, ok := conditions[name]
	if !ok {
		return &MustError{name, errors.New("no such condition")}
	}
	err := c.probe()
	if err != nil && must(name) {
		return &MustError{name, err}
	}
	if err != nil {
		return fmt.Errorf("no %s (%s): %w", name, c.about, err)
	}
	return nil
}

// MustError is a condition that SANDBOX_TEST_MUST asks for and the host does not meet.
type MustError struct {
	Name string
	Err  error
}

func (e *MustError) Error() string { return fmt.Sprintf("condition %s must hold: %v", e.Name, e.Err) }

func (e *MustError) Unwrap() error { return e.Err }

// Need skips the test unless all conditions hold.
func Need(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		err := Check(name)
		if errors.As(err, new(*MustError)) {
			t.Fatal(err)
		}
		if err != nil {
			t.Skip(err)
		}
	}
}

func must(name string) bool {
	list := strings.FieldsFunc(os.Getenv(MustVar), func(r rune) bool { return r == ',' || r == ' ' })
	return slices.Contains(list, name)
}

func once(f func() error) func() error { return sync.OnceValue(f) }
