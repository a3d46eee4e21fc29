package owner

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// An ordinary user without name, groups and privileges: root is not stopped by modes.
const ordinary = 54321

// The test binary runs itself as an ordinary user: see asUser.
func TestMain(m *testing.M) {
	if h := os.Getenv("OWNER_HELPER"); h != "" {
		if err := helper(h, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func asUser(name, dir string) error {
	c := exec.Command(dir+"/helper", dir+"/upper")
	c.Env = append(os.Environ(), "OWNER_HELPER="+name)
	if os.Getuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary}}
	}
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}

// closedThings have modes that keep their owner out, each in a way of its own; all remember an owner.
var closedThings = []struct {
	path string
	mode os.FileMode
}{{"none", 0}, {"none/in", 0}, {"none/in/f", 0}, {"read", 0o400}, {"read/f", 0o444}, {"search", 0o100}, {"search/f", 0o200}, {"ro", 0o555}, {"ro/f", 0o444}}

// newUpper makes closedThings below upper/.
func newUpper(t *testing.T) string {
	d, err := os.MkdirTemp("", "owner-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range closedThings {
			os.Chmod(filepath.Join(d, "upper", c.path), 0o700)
		}
		os.RemoveAll(d)
	})
	self, err := os.ReadFile("/proc/self/exe")
	err = errors.Join(err, os.Chmod(d, 0o755), os.WriteFile(d+"/helper", self, 0o755))
	all := []string{d, d + "/upper"}
	for i, c := range closedThings {
		p := filepath.Join(d, "upper", c.path)
		all = append(all, p)
		if filepath.Base(p) == "f" {
			err = errors.Join(err, os.WriteFile(p, nil, 0o600))
		} else {
			err = errors.Join(err, os.MkdirAll(p, 0o755))
		}
		err = errors.Join(err, unix.Setxattr(p, Attr, []byte(fmt.Sprintf("%d:%d", i+1, i+1)), 0))
	}
	for i := len(all) - 1; i >= 0; i-- {
		if os.Getuid() == 0 {
			err = errors.Join(err, os.Chown(all[i], ordinary, ordinary))
		}
		if i > 1 {
			err = errors.Join(err, os.Chmod(all[i], closedThings[i-2].mode))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func helper(name, upper string) error {
	switch name {
	case "read":
		got, err := Read(upper)
		if err != nil {
			return err
		}
		for i, c := range closedThings {
			if o := got[c.path]; o.UID != i+1 || o.GID != i+1 {
				return fmt.Errorf("%s: %+v", c.path, o)
			}
		}
		return nil
	case "strip":
		if err := Strip(upper); err != nil {
			return err
		}
		if got, err := Read(upper); err != nil || len(got) > 0 {
			return fmt.Errorf("left %v, %v", got, err)
		}
		return nil
	}
	return Walk(upper, func(at, path string, st *unix.Statx_t) error {
		if "kill at "+path == name {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	})
}

// A writable layer has the modes that were given to its files, also after a process that read it was killed.
func TestKilledReaderOfAWritableLayer(t *testing.T) {
	d := newUpper(t)
	same := func(after string) {
		for _, c := range closedThings {
			if fi, err := os.Lstat(filepath.Join(d, "upper", c.path)); os.Getuid() == 0 && (err != nil || fi.Mode().Perm() != c.mode) {
				t.Errorf("after %s: %s does not have mode %o: %v", after, c.path, c.mode, err)
			}
		}
	}
	for _, c := range closedThings {
		for range 2 {
			if err := asUser("kill at "+c.path, d); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatal(err)
			}
		}
		if err := asUser("read", d); err != nil {
			t.Fatal(err)
		}
		same("a kill at " + c.path)
	}
	if err := asUser("strip", d); err != nil {
		t.Fatal(err)
	}
	same("all")
}
