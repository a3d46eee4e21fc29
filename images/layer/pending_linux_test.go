package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// earlyJob are layers that are applied twice below Dir: with folders that are finished at the end, and with
// folders that are finished before each entry.
type earlyJob struct {
	Dir    string
	Layers [][]byte
}

// T-86: a layer with more folders than are remembered comes out the same in everything: modes, times to the
// nanosecond, attributes, owners, what is inherited. Also for an ordinary user, whom folders keep out.
func TestFoldersFinishedEarly(t *testing.T) {
	var layers [][]byte
	for _, c := range layersCases() {
		for _, l := range c.layers {
			layers = append(layers, aged(t, makeTar(t, l...)))
		}
	}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		layers = append(layers, aged(t, randomLayer(t, r, 3+r.IntN(40))))
	}
	layers = append(layers, aged(t, makeTar(t,
		dir("a/", 0o2755), dir("a/b/", 0), file("a/b/f", "x"), dir("c/", 0o1777), file("a/g", "y"), file("n/m/f", "z"), file("c/.wh.x", ""),
		file("n/.wh..wh..opq", ""), file("n/m/g", "z"), dir("a/", 0o500), file("a/b/.wh.z", ""), file("k/l/f", ""), file(".wh.k", ""),
		file("q/r", "1"), file("q/s/t", "2"), file("z", ""), file("q", "now a file"), xattrs(dir("a/b/", 0o700), "user.k", "v"), file("a/b/h", "h"))))
	d := openDir(t)
	give(t, d)
	var out []string
	if err := asUser(t, false, "early", earlyJob{d, layers}, &out); err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		t.Error(o)
	}
	d = openDir(t)
	out, err := earlyJob{d, layers}.work()
	if err != nil || len(out) > 0 {
		t.Errorf("as whoever runs the tests: %v, %v", out, err)
	}
}

// aged gives each entry a time of its own.
func aged(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	r, w := tar.NewReader(bytes.NewReader(b)), tar.NewWriter(&out)
	for i := 0; ; i++ {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		h.ModTime, h.Format = time.Unix(1_000_000_000+int64(i), int64(i)), tar.FormatPAX
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.Copy(w, r)
	}
	w.Close()
	return out.Bytes()
}

// work says where the two differ.
func (j earlyJob) work() (out []string, err error) {
	worked := 0
	for i, b := range j.Layers {
		var views [2]string
		for k, at := range []int64{0, 1} {
			dir := fmt.Sprintf("%s/%d-%d", j.Dir, i, at)
			for _, d := range []string{"", "/fs", "/tar"} {
				if err := os.Mkdir(dir+d, 0o755); err != nil {
					return nil, err
				}
			}
			info, err := Apply(context.Background(), bytes.NewReader(b), dir, ApplyOptions{flushAt: at})
			if err != nil {
				views[k] = strings.ReplaceAll(err.Error(), dir, "DIR")
				continue
			}
			worked++
			var back bytes.Buffer
			if err := Reassemble(context.Background(), &back, dir); err != nil || !bytes.Equal(back.Bytes(), b) {
				return nil, fmt.Errorf("layer %d: put together again: %w", i, err)
			}
			if views[k], err = everything(dir, info); err != nil {
				return nil, err
			}
		}
		if views[0] != views[1] {
			out = append(out, fmt.Sprintf("layer %d: finished at the end:\n%s\nearly:\n%s", i, views[0], views[1]))
		}
	}
	if worked < 100 {
		return nil, fmt.Errorf("only %d layers worked: the test proves little", worked)
	}
	return out, nil
}

// everything there is to know about a layer.
func everything(dir string, info Info) (string, error) {
	owners, err := ReadOwners(dir)
	if err != nil {
		return "", err
	}
	var out []string
	err = walkTree(context.Background(), dir+"/fs", PackOptions{}, func(n *node) error {
		if n.kind == 'f' {
			syscall.Close(n.fd)
		}
		out = append(out, strings.TrimSpace(string(listLine(&item{node: n}))))
		return nil
	})
	if err != nil {
		return "", err
	}
	var walk func(path string) error
	walk = func(path string) error {
		fi, err := os.Lstat(filepath.Join(dir, "fs", path))
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		if st.Mode&syscall.S_IFMT == syscall.S_IFCHR { // nobody sees the time of a whiteout
			st.Mtim = syscall.Timespec{}
		}
		out = append(out, fmt.Sprintf("%q %o %d.%09d %+v", path, st.Mode, st.Mtim.Sec, st.Mtim.Nsec, owners.Owner(path)))
		if !fi.IsDir() {
			return nil
		}
		abs := filepath.Join(dir, "fs", path)
		if st.Mode&0o500 != 0o500 { // the times of the folder itself do not change by this
			defer os.Chmod(abs, fi.Mode())
			if err := os.Chmod(abs, 0o700); err != nil {
				return err
			}
		}
		entries, err := os.ReadDir(abs)
		for _, e := range entries {
			if err == nil {
				err = walk(join(path, e.Name()))
			}
		}
		return err
	}
	if err := walk(""); err != nil {
		return "", err
	}
	slices.Sort(out)
	return fmt.Sprintf("%s\n%d %v %v %v %d", strings.Join(out, "\n"), info.Entries, info.OpaqueRoot, info.Inherited, info.Warnings, owners.Len()), nil
}

// T-86: what a layer makes us remember has an end, which is said with its key.
func TestMemoryLimit(t *testing.T) {
	var closed, replaced, linked, open, implicit, hidden, inside []ent
	linked = append(linked, dir("real/", 0o755), symlink("l", "real"))
	for i := range 1000 {
		closed = append(closed, dir(fmt.Sprintf("closed%d/", i), 0o500))
		open = append(open, dir(fmt.Sprintf("open%d/", i), 0o755))
		replaced = append(replaced, file("f", fmt.Sprint(i)))
		linked = append(linked, file(fmt.Sprintf("l/%d", i), "x"))
		implicit = append(implicit, file(fmt.Sprintf("d%d/f", i), "x"))
		hidden = append(hidden, file(fmt.Sprintf("f%d", i), ""), file(fmt.Sprintf(".wh.f%d", i), ""))
		inside = append(inside, file(fmt.Sprintf("d/.wh.f%d", i), ""))
	}
	inside = append(inside, file("d", ""))
	for name, c := range map[string]struct {
		es      []ent
		refused bool
	}{"closed folders": {closed, true}, "replaced files": {replaced, true}, "files behind a link": {linked, true}, "whiteouts of its own files": {hidden, true}, "whiteouts in a folder that is replaced": {inside, true}, "folders": {open, false}, "folders without entries": {implicit, false}} {
		for _, limit := range []int64{32 << 10, 1 << 20} {
			_, err := Apply(context.Background(), bytes.NewReader(makeTar(t, c.es...)), newLayer(t), ApplyOptions{Limits: Limits{Memory: limit}, flushAt: 4 << 10})
			var le *LimitError
			if refused := errors.As(err, &le) && le.Key == "memory" && strings.Contains(strings.Join(hint.Of(err), ""), "layers.memory"); refused != (c.refused && limit < 1<<20) || err != nil && !refused {
				t.Errorf("%s in %d bytes: %v", name, limit, err)
			}
		}
	}
	low, _ := apply(t, makeTar(t, closed...))
	up, _ := apply(t, makeTar(t, implicit...))
	for _, limit := range []int64{16 << 10, 1 << 20} {
		var le *LimitError
		if _, err := InheritLayer(context.Background(), openDir(t), []string{low, up}, Limits{Memory: limit}); errors.As(err, &le) != (limit < 1<<20) {
			t.Errorf("to inherit in %d bytes: %v", limit, err)
		}
	}
}

// T-86: very many folders and odd owners in bounded memory, from the tar to the layer of what they inherit.
func TestManyFoldersInBoundedMemory(t *testing.T) {
	const folders = 150_000
	long := strings.Repeat("long", 45)
	r, w := io.Pipe()
	go func() {
		tw := tar.NewWriter(w)
		for i := range folders {
			h := &tar.Header{Typeflag: tar.TypeDir, Name: fmt.Sprintf("d%d/%s%d/", i/1000, long, i), Uid: i + 1, Mode: 0o755}
			tw.WriteHeader(h)
		}
		tw.Close()
		w.CloseWithError(io.EOF)
	}()
	d, err := os.MkdirTemp("/dev/shm", "layer-test-") // an hour of a disk otherwise
	if err != nil {
		d = openDir(t)
	}
	defer removeAll(t, d)
	for _, p := range []string{"/fs", "/tar"} {
		if err := os.Mkdir(d+p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, peak := m.HeapInuse, m.HeapInuse
	look := func(int64) {
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse)
	}
	if _, err := Apply(context.Background(), r, d, ApplyOptions{Report: look}); err != nil {
		t.Fatal(err)
	}
	if peak -= before; peak > 64<<20 {
		t.Errorf("to apply it took %d MiB", peak>>20)
	}
	runtime.GC()
	owners, err := ReadOwners(d)
	look(0)
	// And 151 that have no entry of their own.
	if err != nil || owners.Len() != folders+151 || m.HeapInuse-before > 32<<20 {
		t.Errorf("owners: %d in %d MiB, %v", owners.Len(), (m.HeapInuse-before)>>20, err)
	}
	if fi := stat(t, fmt.Sprintf("%s/fs/d7/%s%d", d, long, 7123)); fi.Mtim.Sec != 0 || owners.Owner(fmt.Sprintf("d7/%s%d", long, 7123)).UID != 7124 {
		t.Errorf("%+v", fi)
	}
}
