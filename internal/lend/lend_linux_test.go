package lend

import (
	"context"
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
	if h := os.Getenv("LEND_HELPER"); h != "" {
		if err := helper(h, os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// newTree makes a/ and a/b/ of mode 0 with f of mode 0 in it, below tree/.
func newTree(t *testing.T) string {
	d, err := os.MkdirTemp("", "lend-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range []string{"/tree/a", "/tree/a/b"} {
			os.Chmod(d+p, 0o700)
		}
		os.RemoveAll(d)
	})
	self, err := os.ReadFile("/proc/self/exe")
	err = errors.Join(err, os.Chmod(d, 0o755), os.WriteFile(d+"/helper", self, 0o755), os.MkdirAll(d+"/tree/a/b", 0o755), os.WriteFile(d+"/tree/a/b/f", []byte("contents"), 0))
	for _, p := range []string{"/tree/a/b/f", "/tree/a/b", "/tree/a", "/tree", ""} {
		if os.Getuid() == 0 {
			err = errors.Join(err, os.Chown(d+p, ordinary, ordinary))
		}
		if strings.HasPrefix(p, "/tree/") {
			err = errors.Join(err, os.Chmod(d+p, 0))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// asUser runs a helper as the ordinary user if the tests run as root, else as whoever runs them.
func asUser(name, dir, path string) error {
	c := exec.Command(dir+"/helper", dir, path)
	c.Env = append(os.Environ(), "LEND_HELPER="+name)
	if os.Getuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary}}
	}
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}

func helper(name, dir, path string) error {
	root, err := unix.Open(dir+"/tree", unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	t, err := New(root, dir+"/tree")
	if err != nil {
		return err
	}
	switch name {
	case "kill":
		return kill(t, path)
	case "modes":
		return modes(t, root)
	}
	return fmt.Errorf("no helper %q", name)
}

// kill kills this process when everything on the way to path is lent: as a reader or, where there is a record, as one
// that is about to do what it says.
func kill(t *Tree, path string) (err error) {
	s := &Session{t: t, record: -1}
	if t.left() {
		if s.record, err = unix.Openat(t.up, t.record(), unix.O_WRONLY|unix.O_APPEND, 0); err != nil {
			return err
		}
	}
	p, err := s.Reach(path)
	if err == nil {
		err = s.Lend(p, path, 0o400)
	}
	if err == nil {
		_, err = unix.Write(s.record, []byte("0777 07")) // cut short
	}
	if err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// modes looks at everything, which has mode 0, and reads the file.
func modes(t *Tree, root int) error {
	ctx := context.Background()
	dir, path := root, ""
	for _, name := range []string{"a", "b", "f"} {
		var st unix.Stat_t
		err := t.Look(ctx, dir, path, func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
		if err != nil || st.Mode&0o7777 != 0 {
			return fmt.Errorf("%s/%s: mode %o, %v", path, name, st.Mode, err)
		}
		path = filepath.Join(path, name)
		if dir, err = t.Open(ctx, dir, path, unix.O_RDONLY, 0o400, func(int) error { return nil }); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	fd, err := t.Path(ctx, t.Below(path), func(up int, name string) (int, error) { return unix.Openat(up, name, unix.O_RDONLY, 0) })
	if err != nil {
		return err
	}
	var b [16]byte
	if n, err := unix.Read(fd, b[:]); string(b[:max(n, 0)]) != "contents" {
		return fmt.Errorf("%q, %v", b[:max(n, 0)], err)
	}
	return nil
}

// A process that is killed at the worst of times, and the next one too, leave nothing open for the third.
func TestKilled(t *testing.T) {
	d := newTree(t)
	for _, path := range []string{"tree/a/b/f", "tree/a/b", "tree/a"} {
		for range 3 {
			if err := asUser("kill", d, path); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatal(err)
			}
			if fi, err := os.Stat(d + "/tree/a"); err != nil || fi.Mode().Perm() == 0 {
				t.Errorf("nothing is lent any more: the test proves nothing: %v", err)
			}
		}
		if err := asUser("modes", d, ""); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := os.Lstat(d + "/.tree.lent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the record is still there: %v", err)
	}
}

// Next to trees that were not made here anybody may leave a record.
func TestTrustedRecords(t *testing.T) {
	tree := &Tree{rootU: ordinary}
	for _, c := range []struct {
		st   unix.Stat_t
		want bool
	}{
		{unix.Stat_t{Mode: unix.S_IFREG, Uid: ordinary}, true},
		{unix.Stat_t{Mode: unix.S_IFREG, Uid: uint32(os.Geteuid())}, true},
		{unix.Stat_t{Mode: unix.S_IFREG, Uid: ordinary + 1}, false},
		{unix.Stat_t{Mode: unix.S_IFLNK, Uid: ordinary}, false},
		{unix.Stat_t{Mode: unix.S_IFDIR, Uid: ordinary}, false},
	} {
		if tree.trusts(&c.st) != c.want {
			t.Errorf("%+v", c)
		}
	}
}
