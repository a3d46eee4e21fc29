package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary runs itself as other processes and as another user.
func TestMain(m *testing.M) {
	if h := os.Getenv("STORE_HELPER"); h != "" {
		if err := helper(h); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	base, err := os.MkdirTemp("", "store-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer RemoveAll(base)
	err = os.Chmod(base, 0o755) // for the ordinary user
	self, rerr := os.ReadFile("/proc/self/exe")
	err = errors.Join(err, rerr, os.WriteFile(base+"/helper", self, 0o755), os.Setenv("STORE_TEST_BASE", base))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// An ordinary user without name, groups and privileges.
const ordinary = 54321

// baseDir is a fresh folder that the ordinary user can reach.
func baseDir(t testing.TB) string {
	t.Helper()
	d, err := os.MkdirTemp(os.Getenv("STORE_TEST_BASE"), "t-")
	if err == nil {
		err = os.Chmod(d, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := RemoveAll(d); err != nil {
			t.Error(err)
		}
	})
	return d
}

// memDir is a fresh folder in memory if there is one: tests with thousands of syncs would measure the
// disk otherwise. The rest runs on the disk.
func memDir(t testing.TB) string {
	t.Helper()
	d, err := os.MkdirTemp("/dev/shm", "store-test-")
	if err != nil {
		return baseDir(t)
	}
	t.Cleanup(func() {
		if err := RemoveAll(d); err != nil {
			t.Error(err)
		}
	})
	return d
}

// job is what a helper does with a store.
type job struct {
	Dir   string
	Chain []string
	Name  string
	Text  string
	N     int    // die at this write; 0 = never
	Steps string // a pipe: before each write it is said on the output, and a byte is read from here
}

// start runs a helper; user says whether as the ordinary one. Its lines of output can be read.
func start(t testing.TB, name string, j job, user bool, attr *syscall.SysProcAttr) (*exec.Cmd, *bufio.Reader, *bytes.Buffer) {
	t.Helper()
	c := exec.Command(os.Getenv("STORE_TEST_BASE") + "/helper")
	c.Env = append(os.Environ(), "STORE_HELPER="+name)
	b, _ := json.Marshal(j)
	c.Stdin = bytes.NewReader(b)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	c.SysProcAttr = attr
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if user && os.Getuid() == 0 {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: ordinary, Gid: ordinary}
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(out), &stderr
}

// call runs a helper to its end and gives what it printed.
func call(t testing.TB, name string, j job, user bool, attr *syscall.SysProcAttr) (string, error) {
	t.Helper()
	c, out, stderr := start(t, name, j, user, attr)
	var b bytes.Buffer
	b.ReadFrom(out)
	if err := c.Wait(); err != nil {
		return b.String(), fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return b.String(), nil
}

func helper(name string) error {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return err
	}
	if name == "remove" {
		return RemoveAll(j.Dir)
	}
	if name == "mounts" {
		return otherDevice(j.Dir)
	}
	if name == "ramfs" {
		return openOnRamfs(j.Dir)
	}
	if name == "without" {
		return openWithout(j.Dir, j.N, j.Text)
	}
	if name == "full" {
		return fullDisk(j.Dir)
	}
	o := Options{Chain: j.Chain}
	writes := 0
	var steps *os.File
	if j.Steps != "" {
		var err error
		if steps, err = os.Open(j.Steps); err != nil {
			return err
		}
	}
	o.Faults = func(op, path string) error {
		if steps != nil {
			fmt.Println(op, path)
			if _, err := io.ReadFull(steps, make([]byte, 1)); err != nil {
				return err
			}
		}
		if writes++; writes == j.N {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	s, err := Open(j.Dir, o)
	if err != nil {
		return err
	}
	switch name {
	case "scenario":
		return scenario(s)
	case "mixed":
		return mixed(s, j.Name)
	case "gc":
		return gcAs(s, j.Name)
	case "make": // prints whether it made the layer
		_, made, err := s.MakeLayer(context.Background(), j.Name, func(dir string) error {
			return os.WriteFile(dir+"/fs/file", []byte(j.Text), 0o644)
		})
		fmt.Println(made)
		return err
	case "use": // holds the mark until it is killed
		if _, err := s.Use(j.Name); err != nil {
			return err
		}
		runtime.GC() // the mark holds although nobody refers to it
		fmt.Println("used")
		time.Sleep(time.Hour)
		return nil
	case "lease":
		if err := s.leaseNames(context.Background(), KindLayer, j.Name); err != nil {
			return err
		}
		fmt.Println("leased")
		time.Sleep(time.Hour)
		return s.Close()
	case "blob": // begins a blob and holds it
		w, err := s.NewBlob(context.Background(), DigestOf([]byte(j.Text)), int64(len(j.Text)))
		if err != nil {
			return err
		}
		w.Write([]byte(j.Text[:len(j.Text)/2]))
		fmt.Println("begun")
		time.Sleep(time.Hour)
		return w.Close()
	case "read":
		return readOnlyUse(s, j.Name, Digest(j.Text))
	}
	return fmt.Errorf("no helper %q", name)
}

// left lists what is in the folders that should be empty when nothing is going on.
func left(t testing.TB, s *Store) []string {
	t.Helper()
	var out []string
	for _, d := range []string{Temp, Partial, Locks} {
		entries, err := os.ReadDir(s.Path(d))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if d == Locks && (e.Name() == "gc" || strings.HasPrefix(e.Name(), leasePrefix)) {
				continue
			}
			out = append(out, filepath.Join(d, e.Name()))
		}
	}
	return out
}
