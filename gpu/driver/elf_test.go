package driver

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/4cc2e759/sandbox/gpu/gputest"
)

func TestRealFilesAreRead(t *testing.T) {
	f, err := inspect("/bin/cat")
	if err != nil || f.interp == "" || f.glibc[0] != 2 || !f.native() {
		t.Errorf("%+v %v", f, err)
	}
	libc, err := filepath.EvalSymlinks("/lib/" + multiarch() + "/libm.so.6")
	if err != nil {
		t.Fatal(err)
	}
	if f, err = inspect(libc); err != nil || f.soname != "libm.so.6" {
		t.Errorf("%+v %v", f, err)
	}
}

func TestDamagedFilesGiveErrors(t *testing.T) {
	good := gputest.ELF{SONAME: "libcuda.so.1", Glibc: "2.17", Exports: []string{"cuInit"}}.Bytes()
	for n := range good {
		if _, err := inspectReader("x", bytes.NewReader(good[:n])); err == nil {
			t.Fatalf("%d of %d bytes are a library", n, len(good))
		}
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "huge")
	// A section table and a string table of many gigabytes, as holes.
	b := bytes.Clone(good)
	write(t, name, b)
	if err := os.Truncate(name, 1<<40); err != nil {
		t.Fatal(err)
	}
	for at := range 64 {
		for _, v := range []byte{0x7f, 0xff} {
			c := bytes.Clone(b[:64])
			c[at] = v
			f, err := os.OpenFile(name, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt(c, 0)
				f.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			_, _ = inspect(name) // an error or not: it ends, within the budget
		}
	}
	if _, err := inspect(dir); err == nil {
		t.Error("a folder is a library")
	}
}

func TestTheBudgetIsKept(t *testing.T) {
	r := &budget{r: bytes.NewReader(make([]byte, 100)), left: 64}
	if _, err := r.ReadAt(make([]byte, 60), 0); err != nil {
		t.Error(err)
	}
	if _, err := r.ReadAt(make([]byte, 60), 0); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read over the budget: %v", err)
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(gputest.ELF{SONAME: "libcuda.so.1", Glibc: "2.17"}.Bytes())
	f.Add(gputest.ELF{Says: "hello\n", Glibc: "2.34"}.Bytes())
	f.Add(gputest.ELF{Class: 32, SONAME: "libcuda.so.1"}.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := safely("x", func() (facts, error) { return inspectReader("x", bytes.NewReader(b)) })
		if err != nil && !errors.Is(err, errELF) {
			t.Errorf("an error of no kind: %v", err)
		}
		if x.soname != "" && !usableName(x.soname) && err == nil {
			t.Errorf("a SONAME that is a path: %q", x.soname)
		}
	})
}

func FuzzVersion(f *testing.F) {
	f.Add("libcuda.so.580.95.05")
	f.Fuzz(func(t *testing.T, s string) {
		base, v, ok := cutVersion(s)
		if ok && (base+".so."+v != s || Major(v) < 100) {
			t.Errorf("%q is %q and %q", s, base, v)
		}
	})
}
