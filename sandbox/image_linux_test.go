package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/4cc2e759/sandbox/internal/registrytest"
	"github.com/4cc2e759/sandbox/internal/testenv"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// T-23: a layer of an image that is taken after it was pulled and before the run has marked it is brought again,
// once, and the run is as any other.
func TestRunImageWhoseLayerIsTaken(t *testing.T) {
	testenv.Need(t, "userns", "overlay", "busybox")
	bin, err := testenv.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{{Files: []registrytest.File{
		{Name: "bin/"}, {Name: "bin/busybox", Body: string(b), Mode: 0o755}, {Name: "bin/sh", Link: "busybox"}, {Name: "etc/"}, {Name: "tmp/"}}}}})
	blobs.Layout(t, dir, map[string]registrytest.Descriptor{"v1": d})
	m, err := Open(Options{StoreDir: t.TempDir(), Environ: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := m.Store()
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	make := m.l.MakeStubs
	m.l.MakeStubs = func(ctx context.Context, name string, stubs []plan.Stub, lowers []spec.Lower) (string, error) {
		fs, err := make(ctx, name, stubs, lowers)
		taken++
		if rerr := st.RemoveLayer(filepath.Base(filepath.Dir(lowers[0].Path))); rerr != nil {
			t.Error(rerr)
		}
		return fs, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	exit, err := m.RunImage(t.Context(), "oci:"+dir, "none", RunOptions{Args: []string{"sh", "-c", "exit 7"}, Stdin: null, Stdout: null, Stderr: null})
	if err != nil || exit.Status() != 7 || taken != 1 {
		t.Errorf("%v, %+v; taken %d times", err, exit, taken)
	}
	if left, _ := os.ReadDir(m.l.Sandboxes()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
