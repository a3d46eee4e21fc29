package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images/store"
)

// T-12: as deep as a name can say; applied, packed and removed, also by an ordinary user.
func TestDeepTree(t *testing.T) {
	deep := strings.Repeat("d/", 1900)
	b := makeTar(t, file(deep+"f", "x"), with(dir(deep+"closed/", 0), func(*tar.Header) {}), symlink(strings.Repeat("e/", 1000)+"l", "x"))
	d := newLayer(t)
	give(t, d)
	if err := asUser(t, false, "apply", applyJob{d, b, 0o022}, nil); err != nil {
		t.Fatal(err)
	}
	if err := asUser(t, false, "pack", d+"/fs", nil); err != nil {
		t.Fatal(err)
	}
	if err := asUser(t, false, "remove", d+"/fs", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(d + "/fs"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the tree is still there: %v", err)
	}
}

// T-86: memory and disk stay bounded however large the layer is.
func TestLargeLayerInBoundedMemory(t *testing.T) {
	const size, files = 1 << 30, 10_000
	r, w := io.Pipe()
	go func() {
		tw := tar.NewWriter(w)
		tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "zeros", Size: size, Mode: 0o644})
		zero := make([]byte, 1<<20)
		for range size / len(zero) {
			tw.Write(zero)
		}
		for i := range files {
			tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("d%d/f%d", i/1000, i), Uid: i, Mode: 0o644})
		}
		tw.Close()
		w.CloseWithError(io.EOF)
	}()
	d := newLayer(t)
	// What other tests left is not its doing: neither what is still held, pools included, which go at the
	// second collection, nor the garbage that a heap of that size may gather before it is collected.
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	runtime.GC()
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	peak := before.HeapInuse
	info, err := Apply(context.Background(), r, d, ApplyOptions{Report: func(int64) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if info.Entries != files+1 || stat(t, d+"/fs/zeros").Size != size {
		t.Errorf("%+v", info)
	}
	if used := store.Size(d); used > 300<<20 {
		t.Errorf("%d bytes of disk for zeros", used)
	}
	if peak -= before.HeapInuse; peak > 64<<20 {
		t.Errorf("%d MiB of memory in use, beyond %d before", peak>>20, before.HeapInuse>>20)
	}
}

func TestRatio(t *testing.T) {
	b := makeTar(t, file("a", ""))
	r := io.MultiReader(bytes.NewReader(b), io.LimitReader(zeros{}, 3<<30))
	_, err := Apply(context.Background(), r, newLayer(t), ApplyOptions{Packed: func() int64 { return 1 << 19 }})
	var le *LimitError
	if !errors.As(err, &le) {
		t.Errorf("3 GiB out of 512 KiB: %v", err)
	}
}

// T-86: headers that belong to no entry count as well, however many come before the next one.
func TestRatioOfHeadersAlone(t *testing.T) {
	for kind, records := range map[byte]string{
		'g': record("comment", strings.Repeat("c", 1<<20-64)),
		'x': record("comment", strings.Repeat("c", 1<<20-64)),
		'L': strings.Repeat("n", 1<<20-64),
	} {
		one := paxRaw(t, kind, records)
		one = one[:len(one)-len(makeTar(t, file("f", "x")))]
		r := &counting{r: io.LimitReader(&endless{b: one}, 1280<<20)}
		_, err := Apply(context.Background(), r, newLayer(t), ApplyOptions{NoSide: true, Packed: func() int64 { return r.n / 1000 }})
		var le *LimitError
		if !errors.As(err, &le) || le.Key != "ratio" {
			t.Errorf("headers of type %q without end: %v", kind, err)
		}
	}
}

// endless repeats b.
type endless struct {
	b   []byte
	pos int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.b[e.pos:])
	e.pos = (e.pos + n) % len(e.b)
	return n, nil
}

type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// T-82: a layer that needs attributes of users says where it fails what helps; others do not need them.
func TestWithoutAttributes(t *testing.T) {
	for name, c := range map[string]struct {
		es   []ent
		want string
	}{
		"opaque":   {ents(dir("d/", 0o755), file("d/.wh..wh..opq", "")), "SANDBOX_STORE"},
		"whiteout": {ents(dir("d/", 0o755), file("d/.wh.x", "")), "SANDBOX_STORE"},
		"plain":    {ents(dir("d/", 0o755), file("d/x", "x"), xattrs(file("y", ""), "user.k", "v")), "<nil>"},
	} {
		mnt := openDir(t)
		give(t, mnt)
		var got string
		if err := asUser(t, true, "ramfs", applyJob{Dir: mnt, Tar: makeTar(t, c.es...)}, &got); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// T-19: a full disk is said to be one, wherever it strikes.
func TestFullDisk(t *testing.T) {
	mnt := openDir(t)
	give(t, mnt)
	big := makeTar(t, file("a", "x"), file("big", strings.Repeat("x", 3<<20)))
	var many []ent
	for i := range 3000 {
		many = append(many, dir(fmt.Sprintf("d%d/", i), 0o755))
	}
	for name, b := range map[string][]byte{"contents": big, "folders": makeTar(t, many...)} {
		var got string
		if err := asUser(t, true, "full", applyJob{Dir: mnt, Tar: b}, &got); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, "no space left on device") || !strings.HasPrefix(got, "SpaceError ") {
			t.Errorf("%s: %s", name, got)
		}
	}
}
