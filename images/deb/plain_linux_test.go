package deb

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What is written again without compression is the same package for us and for dpkg-deb's format: the
// members, their sizes and the tars in them.
func TestPlain(t *testing.T) {
	hh := []tar.Header{
		{Typeflag: tar.TypeDir, Name: "./"},
		{Typeflag: tar.TypeReg, Name: "./a", Uname: "content", Mode: 0o644, Gid: 42, Gname: "shadow"},
		{Typeflag: tar.TypeReg, Name: "./b", Uname: "x", Mode: 0o600},
	}
	want := makeDeb(t, "", hh...)
	for _, ext := range []string{"", ".gz", ".xz", ".zst"} {
		dir := t.TempDir()
		root, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		file := filepath.Join(t.TempDir(), "plain.deb")
		w, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		skip := func(name string) bool { return name == "a" }
		entries, err := Unpack(bytes.NewReader(makeDeb(t, ext, hh...)), root, UnpackOptions{Plain: w, Skip: skip})
		if err != nil || w.Close() != nil || len(entries) != 3 || entries[1].GID != 42 {
			t.Fatalf("%q: %+v, %v", ext, entries, err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(memberNames(t, got), []string{"debian-binary", "control.tar", "data.tar"}) {
			t.Errorf("%q: members %v", ext, memberNames(t, got))
		}
		// Only the modes of the headers differ, for ar's sake: the content must be equal byte for byte.
		if a, b := contents(t, want), contents(t, got); !slices.EqualFunc(a, b, bytes.Equal) {
			t.Errorf("%q: the tars differ", ext)
		}
		if _, err := os.Lstat(filepath.Join(dir, "a")); err == nil {
			t.Errorf("%q: a was unpacked", ext)
		}
		if _, err := os.Lstat(filepath.Join(dir, "b")); err != nil {
			t.Errorf("%q: %v", ext, err)
		}
	}
}

// A .deb that is cut off, or inflates to more than the limits allow, is refused there, too.
func TestPlainRefuses(t *testing.T) {
	whole := makeDeb(t, ".xz", tar.Header{Typeflag: tar.TypeReg, Name: "./a", Uname: string(make([]byte, 1<<20))})
	for name, c := range map[string]struct {
		deb    []byte
		limits Limits
	}{"cut off": {whole[:len(whole)-100], Limits{}}, "too long": {whole, Limits{Bytes: 1 << 19}}} {
		w, err := os.Create(filepath.Join(t.TempDir(), "plain.deb"))
		if err != nil {
			t.Fatal(err)
		}
		root, err := os.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		_, err = Unpack(bytes.NewReader(c.deb), root, UnpackOptions{Plain: w, Limits: c.limits, Skip: func(string) bool { return true }})
		if err == nil {
			t.Errorf("%s: taken", name)
		}
		w.Close()
		root.Close()
	}
}

// eachMember calls f for the members of an ar archive as they lie there.
func eachMember(t *testing.T, b []byte, f func(name string, body []byte)) {
	r := bytes.NewReader(b[8:])
	for r.Len() > 0 {
		name, size, err := arHeader(r)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, size)
		if _, err := r.Read(body); err != nil {
			t.Fatal(err)
		}
		if size%2 == 1 {
			r.ReadByte()
		}
		f(name, body)
	}
}

func memberNames(t *testing.T, b []byte) (names []string) {
	eachMember(t, b, func(name string, _ []byte) { names = append(names, name) })
	return names
}

func contents(t *testing.T, b []byte) (out [][]byte) {
	eachMember(t, b, func(_ string, body []byte) { out = append(out, body) })
	return out
}
