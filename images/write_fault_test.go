package images_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// T-78: every single write of a pull fails once, in each way that disks have. Nothing that is not whole gets a name,
// and the next pull needs no help.
func TestEachWriteOfAPullFails(t *testing.T) {
	blobs := registrytest.Blobs{}
	a := app(1 << 16)
	a.Layers[0].Files = append(a.Layers[0].Files, registrytest.File{Name: "owned", Body: "o", UID: 7})
	d := blobs.Image(t, a)
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	total := 0
	if err := pullWhere(t, f.ref("v1"), inMemory(t), func(string, string) error { total++; return nil }); err != nil {
		t.Fatal(err)
	}
	if total < 50 {
		t.Fatalf("only %d writes: the hook is not where they are", total)
	}
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EINTR} {
		for n := 1; n <= total; n++ {
			failOneOfAPull(t, f, errno, n)
		}
	}
}

func failOneOfAPull(t *testing.T, f *fake, errno syscall.Errno, n int) {
	t.Helper()
	dir, seen, when := inMemory(t), 0, ""
	err := pullWhere(t, f.ref("v1"), dir, func(op, path string) error {
		if seen++; seen != n {
			return nil
		}
		when = fmt.Sprintf("write %d (%s %s) fails with %v", n, op, strings.TrimPrefix(path, dir), errno)
		return errno
	})
	if err != nil && !errors.Is(err, errno) {
		t.Errorf("%s: %v", when, err)
	}
	pullAfter(t, f, dir, when)
}

// pullAfter looks whether what is there is whole, and pulls once more, which needs no help and leaves no rest.
func pullAfter(t *testing.T, f *fake, dir, when string) {
	t.Helper()
	st, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	defer st.Close()
	check := store.VerifyOptions{Layer: layer.Check(st.TempDir)}
	if damage, err := st.Verify(t.Context(), check); err != nil || len(damage) > 0 {
		t.Errorf("%s: %v, %v", when, damage, err)
	}
	_, layers, err := pull(t, images.New(st, images.Options{Notice: func(line string) { t.Errorf("%s: notice: %s", when, line) }}), f.ref("v1"))
	if err != nil {
		t.Fatalf("%s: again: %v", when, err)
	}
	if readLayer(t, layers[0], "owned") != "o" || readLayer(t, layers[1], "data") != noise(1<<16) {
		t.Errorf("%s: other content", when)
	}
	for _, folder := range []string{store.Temp, store.Partial} {
		if left, _ := os.ReadDir(st.Path(folder)); len(left) > 0 {
			t.Errorf("%s: left: %v", when, left)
		}
	}
}

const killVar = "IMAGES_TEST_KILL"

// killJob is a pull that ends by SIGKILL before its n-th write.
type killJob struct {
	Ref, Dir string
	N        int
}

// T-78, T-80: a pull is killed before every single write.
func TestPullKilledAtEachWrite(t *testing.T) {
	if v := os.Getenv(killVar); v != "" {
		var j killJob
		decode(t, []byte(v), &j)
		seen := 0
		err := pullWhere(t, j.Ref, j.Dir, func(string, string) error {
			if seen++; seen == j.N {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	blobs := registrytest.Blobs{}
	a := app(1 << 16)
	a.Layers[0].Files = append(a.Layers[0].Files, registrytest.File{Name: "owned", Body: "o", UID: 7})
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": blobs.Image(t, a)})
	for n := 1; ; n++ {
		j := killJob{f.ref("v1"), inMemory(t), n}
		in, _ := json.Marshal(j)
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), killVar+"="+string(in))
		out, err := cmd.CombinedOutput()
		if err == nil {
			if n < 50 {
				t.Errorf("it ended before write %d: the hook is not where they are", n)
			}
			return
		}
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
			t.Fatalf("write %d: %v: %s", n, err, out)
		}
		pullAfter(t, f, j.Dir, fmt.Sprintf("killed before write %d", n))
	}
}

// pullWhere pulls into a store in which faults are asked before each write, one after the other.
func pullWhere(t *testing.T, ref, dir string, faults func(op, path string) error) error {
	t.Helper()
	var mu sync.Mutex
	st, err := store.Open(dir, store.Options{Faults: func(op, path string) error {
		mu.Lock()
		defer mu.Unlock()
		return faults(op, path)
	}})
	if err != nil {
		return err
	}
	defer st.Close()
	_, _, err = pull(t, images.New(st, images.Options{Jobs: 1}), ref)
	return err
}

// inMemory is a new folder in memory if there is such a place: hundreds of pulls would measure the disk otherwise.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "images-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := store.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
