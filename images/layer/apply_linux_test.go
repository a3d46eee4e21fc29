package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"
)

// ent is one entry of a test's tar.
type ent struct {
	tar.Header
	body string
}

func file(name, body string) ent {
	return ent{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, body}
}
func dir(name string, mode int64) ent {
	return ent{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode}, ""}
}
func symlink(name, target string) ent {
	return ent{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, ""}
}
func hardlink(name, target string) ent {
	return ent{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o644}, ""}
}
func fifo(name string) ent {
	return ent{tar.Header{Typeflag: tar.TypeFifo, Name: name, Mode: 0o640}, ""}
}

// makeTar writes the entries, in their order, without any check.
func makeTar(t testing.TB, ents ...ent) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range ents {
		h := e.Header
		h.Size = int64(len(e.body))
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(1_700_000_000, 0)
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// newLayer makes the folders that a store gives to a maker.
func newLayer(t testing.TB) string {
	t.Helper()
	dir := openDir(t)
	for _, d := range []string{"/fs", "/tar"} {
		if err := os.Mkdir(dir+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func apply(t testing.TB, b []byte) (string, Info) {
	t.Helper()
	dir := newLayer(t)
	info, err := Apply(context.Background(), bytes.NewReader(b), dir, ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return dir, info
}

func TestApplyAndReassemble(t *testing.T) {
	b := makeTar(t, dir("./", 0o755), dir("usr/", 0o755), file("usr/a", "hello"), symlink("b", "usr/a"), hardlink("usr/c", "usr/a"), file("usr/empty", ""))
	b = append(b, make([]byte, 10240)...)
	d, _ := apply(t, b)
	if c, err := os.ReadFile(d + "/fs/usr/c"); err != nil || string(c) != "hello" {
		t.Errorf("%q %v", c, err)
	}
	var out bytes.Buffer
	if err := Reassemble(context.Background(), &out, d); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), b) {
		t.Errorf("reassembled %d bytes differ from the %d applied", out.Len(), len(b))
	}
}
