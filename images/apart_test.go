package images_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
)

// apart is a pull as a process of its own: what it takes is not mixed with what the registry takes.
type apart struct {
	Ref    string
	Limits layer.Limits
	Bare   bool // nothing is pulled: what the process itself takes
}

// cost is what came of it.
type cost struct {
	Said   string // the error
	Layers int
	Peak   int64 // KiB of memory, at most
	Left   int64 // bytes on the disk of what has no final name
	Disk   int64 // bytes on the disk of all of the store
}

const apartVar = "IMAGES_TEST_APART"

// pullApart runs the test that calls it once more, with apartVar set: see pullOnce.
func pullApart(t *testing.T, j apart) (c cost) {
	t.Helper()
	in, _ := json.Marshal(j)
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), apartVar+"="+string(in))
	out, err := cmd.CombinedOutput()
	_, result, ok := strings.Cut(string(out), "COST ")
	if err != nil || !ok {
		t.Fatalf("%v: %s", err, out)
	}
	result, _, _ = strings.Cut(result, "\n")
	if err := json.Unmarshal([]byte(result), &c); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return c
}

// pullOnce is the process. The store is in memory if it can: the disk is not what is measured.
func pullOnce(t *testing.T) {
	var j apart
	decode(t, []byte(os.Getenv(apartVar)), &j)
	dir, err := os.MkdirTemp("/dev/shm", "images-test-")
	if err != nil {
		dir = t.TempDir()
	}
	defer store.RemoveAll(dir)
	st, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var c cost
	if !j.Bare {
		_, layers, err := pull(t, images.New(st, images.Options{Limits: j.Limits}), j.Ref)
		if c.Layers = len(layers); err != nil {
			c.Said = err.Error()
		}
	}
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	fmt.Sscan(rest, &c.Peak)
	c.Left, c.Disk = store.Size(st.Path(store.Temp), st.Path(store.Partial)), store.Size(st.Dir())
	out, _ := json.Marshal(c)
	fmt.Printf("COST %s\n", out)
}
