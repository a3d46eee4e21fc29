package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

func makeTar(t testing.TB, hh ...tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hh {
		body := h.Uname // the content, to keep the tables short
		if h.Typeflag == tar.TypeReg {
			h.Size, h.Uname = int64(len(body)), "root"
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			w.Write([]byte(body))
		}
	}
	w.Close()
	return b.Bytes()
}

func pack(t testing.TB, ext string, b []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch ext {
	case ".gz":
		w = gzip.NewWriter(&out)
	case ".xz":
		w, err = xz.NewWriter(&out)
	case ".zst":
		w, err = zstd.NewWriter(&out)
	default:
		return b
	}
	if err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func arMember(name string, b []byte) []byte {
	h := fmt.Sprintf("%-16s%-12d%-6d%-6d%-8o%-10d`\n", name, 0, 0, 0, 0o100644, len(b))
	if len(b)%2 == 1 {
		b = append(bytes.Clone(b), '\n')
	}
	return append([]byte(h), b...)
}

func makeDeb(t testing.TB, ext string, hh ...tar.Header) []byte {
	control := makeTar(t, tar.Header{Typeflag: tar.TypeReg, Name: "./control", Uname: "Package: x\nVersion: 1\nArchitecture: all\n"})
	b := []byte("!<arch>\n")
	b = append(b, arMember("debian-binary", []byte("2.0\n"))...)
	b = append(b, arMember("control.tar"+ext, pack(t, ext, control))...)
	return append(b, arMember("data.tar"+ext, pack(t, ext, makeTar(t, hh...)))...)
}

func unpackInto(t testing.TB, dir string, deb []byte, l Limits) ([]Entry, error) {
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return Unpack(bytes.NewReader(deb), root, UnpackOptions{Limits: l})
}

func TestUnpack(t *testing.T) {
	hh := []tar.Header{
		{Typeflag: tar.TypeDir, Name: "./"},
		{Typeflag: tar.TypeDir, Name: "./lib/", Mode: 0o755},
		{Typeflag: tar.TypeReg, Name: "./lib/a", Uname: "content", Mode: 0o4755, Uid: 0, Gid: 42, Gname: "shadow"},
		{Typeflag: tar.TypeLink, Name: "./bin/hard", Linkname: "./lib/a"},
		{Typeflag: tar.TypeSymlink, Name: "./lib/soft", Linkname: "a"},
		{Typeflag: tar.TypeDir, Name: "./closed/", Mode: 0o500},
		{Typeflag: tar.TypeReg, Name: "./closed/inside", Uname: "x", Mode: 0o600},
	}
	for _, ext := range []string{"", ".gz", ".xz", ".zst"} {
		deb := makeDeb(t, ext, hh...)
		control, entries, err := ReadContents(bytes.NewReader(deb), Limits{})
		if err != nil {
			t.Fatalf("%q: %v", ext, err)
		}
		if c, err := ParseControl(control); err != nil || c.Name != "x" {
			t.Errorf("control: %+v, %v", c, err)
		}
		if len(entries) != len(hh) || entries[2].GID != 42 || entries[2].Gname != "shadow" || entries[2].Name != "lib/a" || entries[0].Name != "" {
			t.Errorf("entries: %+v", entries)
		}
		dir := t.TempDir()
		t.Cleanup(func() { os.Chmod(filepath.Join(dir, "closed"), 0o700) })
		// A merged /usr: the package's folder lib is reached by a link, which must stay.
		os.MkdirAll(filepath.Join(dir, "usr/lib"), 0o755)
		os.Symlink("usr/lib", filepath.Join(dir, "lib"))
		os.WriteFile(filepath.Join(dir, "usr/lib/a"), []byte("older"), 0o600)
		if _, err := unpackInto(t, dir, deb, Limits{}); err != nil {
			t.Fatalf("%q: %v", ext, err)
		}
		if l, err := os.Readlink(filepath.Join(dir, "lib")); err != nil || l != "usr/lib" {
			t.Errorf("lib is %q, %v", l, err)
		}
		fi, err := os.Stat(filepath.Join(dir, "usr/lib/a"))
		if err != nil || fi.Mode() != 0o755|fs.ModeSetuid || fi.Size() != 7 {
			t.Errorf("a: %v, %v", fi, err)
		}
		if hard, err := os.Stat(filepath.Join(dir, "bin/hard")); err != nil || !os.SameFile(fi, hard) {
			t.Errorf("hard link: %v", err)
		}
		if fi, err := os.Stat(filepath.Join(dir, "closed")); err != nil || fi.Mode().Perm() != 0o500 {
			t.Errorf("closed: %v, %v", fi, err)
		}
	}
}

// Whatever a package holds, nothing outside of the root changes.
func TestUnpackStaysInside(t *testing.T) {
	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	tests := map[string][]tar.Header{
		"dots":              {{Typeflag: tar.TypeReg, Name: "../victim", Uname: "evil"}},
		"dots inside":       {{Typeflag: tar.TypeReg, Name: "a/../../victim", Uname: "evil"}},
		"absolute":          {{Typeflag: tar.TypeReg, Name: victim, Uname: "evil"}},
		"through a link":    {{Typeflag: tar.TypeSymlink, Name: "l", Linkname: outside}, {Typeflag: tar.TypeReg, Name: "l/victim", Uname: "evil"}},
		"through dots link": {{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "../../../../../../../.." + outside}, {Typeflag: tar.TypeReg, Name: "l/victim", Uname: "evil"}},
		"onto a link":       {{Typeflag: tar.TypeSymlink, Name: "l", Linkname: victim}, {Typeflag: tar.TypeReg, Name: "l", Uname: "evil"}},
		"hard link out":     {{Typeflag: tar.TypeLink, Name: "l", Linkname: victim}, {Typeflag: tar.TypeReg, Name: "l", Uname: "evil"}},
		"hard link to a link, then through it": {{Typeflag: tar.TypeSymlink, Name: "s", Linkname: victim}, {Typeflag: tar.TypeLink, Name: "l", Linkname: "s"},
			{Typeflag: tar.TypeReg, Name: "l", Uname: "evil"}},
		"folder mode through a link": {{Typeflag: tar.TypeSymlink, Name: "l", Linkname: outside}, {Typeflag: tar.TypeDir, Name: "l", Mode: 0o777}},
	}
	for name, hh := range tests {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(victim, []byte("good"), 0o600); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Stat(outside)
			_, err := unpackInto(t, t.TempDir(), makeDeb(t, "", hh...), Limits{})
			t.Log(err) // an error is fine, and so is a file of that name below the root
			if b, err := os.ReadFile(victim); err != nil || string(b) != "good" {
				t.Fatalf("changed: %q, %v", b, err)
			}
			if after, _ := os.Stat(outside); after.Mode() != before.Mode() {
				t.Errorf("mode changed to %v", after.Mode())
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	good := makeDeb(t, ".gz", tar.Header{Typeflag: tar.TypeReg, Name: "a", Uname: strings.Repeat("x", 1000)})
	tests := map[string]struct {
		deb []byte
		l   Limits
	}{
		"empty":        {nil, Limits{}},
		"no ar":        {[]byte("PK\x03\x04 something else"), Limits{}},
		"cut short":    {good[:len(good)-100], Limits{}},
		"only a head":  {good[:100], Limits{}},
		"too big":      {good, Limits{Bytes: 500}},
		"too many":     {makeDeb(t, "", tar.Header{Typeflag: tar.TypeDir, Name: "a"}, tar.Header{Typeflag: tar.TypeDir, Name: "b"}), Limits{Entries: 1}},
		"twice data":   {append(bytes.Clone(good), good[len("!<arch>\n")+64:]...), Limits{}},
		"version 3":    {bytes.Replace(good, []byte("2.0\n"), []byte("3.0\n"), 1), Limits{}},
		"unknown kind": {bytes.Replace(good, []byte("data.tar.gz "), []byte("data.tar.lz4"), 1), Limits{}},
	}
	for name, tt := range tests {
		if _, _, err := ReadContents(bytes.NewReader(tt.deb), tt.l); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := unpackInto(t, t.TempDir(), tt.deb, tt.l); err == nil {
			t.Errorf("unpack, %s: no error", name)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	for _, ext := range []string{"", ".gz", ".xz", ".zst"} {
		f.Add(makeDeb(f, ext, tar.Header{Typeflag: tar.TypeReg, Name: "./a/b", Uname: "x"}, tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "/etc"}))
	}
	f.Add(makeDeb(f, "", tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: ".."}, tar.Header{Typeflag: tar.TypeReg, Name: "l/x", Uname: "x"}, tar.Header{Typeflag: tar.TypeLink, Name: "m", Linkname: "l/y"}))
	f.Fuzz(func(t *testing.T, deb []byte) {
		dir := t.TempDir()
		root := filepath.Join(dir, "one/two/root")
		if err := os.MkdirAll(root, 0o755); err != nil {
			t.Fatal(err)
		}
		unpackInto(t, root, deb, Limits{Bytes: 1 << 20, Entries: 100})
		ReadContents(bytes.NewReader(deb), Limits{Bytes: 1 << 20, Entries: 100})
		ReadPackage(bytes.NewReader(deb))
		var n int
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || p == root {
				return fs.SkipDir
			}
			n++
			return nil
		})
		if n != 3 || err != nil && !errors.Is(err, fs.SkipDir) {
			t.Fatalf("%d entries around the root, %v", n, err)
		}
		filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() {
				os.Chmod(p, 0o700)
			}
			return nil
		})
	})
}
