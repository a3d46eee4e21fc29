package build

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/store"
)

func cpu() string {
	var a, b syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &a)
	syscall.Getrusage(syscall.RUSAGE_CHILDREN, &b)
	d := func(t syscall.Timeval) time.Duration { return time.Duration(t.Nano()) }
	return fmt.Sprint("self ", d(a.Utime)+d(a.Stime), " children ", d(b.Utime), "+", d(b.Stime))
}

func TestZZ(t *testing.T) {
	var pins []envfile.DebPin
	b, _ := os.ReadFile("/tmp/debprobe/" + os.Getenv("SUITE") + ".json")
	json.Unmarshal(b, &pins)
	st, _ := store.Open("/tmp/debprobe/store", store.Options{})
	dir := os.Getenv("OUT")
	os.RemoveAll(dir)
	os.MkdirAll(dir+"/fs", 0o755)
	os.MkdirAll(dir+"/tar", 0o755)
	find := func(p envfile.DebPin) (string, error) { return st.BlobPath(store.Digest("sha256:" + p.SHA256)) }
	t0 := time.Now()
	files, err := openDebs(pins, find)
	t.Log("open", time.Since(t0), cpu(), err)
	err = debSkeleton(dir+"/fs", files)
	t.Log("skeleton", time.Since(t0), cpu(), err)
	os.RemoveAll(dir + "/fs")
	os.MkdirAll(dir+"/fs", 0o755)
	t.Log("rm", time.Since(t0), cpu(), err)
	t0 = time.Now()
	err = AssembleDebBase(context.Background(), DebBaseInput{Debs: pins, Epoch: testEpoch, Dir: dir, Path: find})
	t.Log("all", time.Since(t0), cpu(), err)
	_ = filepath.Join
}
