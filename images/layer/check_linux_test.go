package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/store"
)

// everyKind is a layer that has one of everything that a tree and its side data can hold.
func everyKind(t testing.TB) []byte {
	return makeTar(t,
		dir("a/", 0o750), file("a/file", "contents"), file("b", "b"), file("empty", ""), file(".wh.gone", ""), dir("o/", 0o755), opq("o/"),
		hardlink("b2", "b"), symlink("l", "a/file"), fifo("p"), xattrs(file("x", "x"), "user.k", "v", "security.capability", "cap"),
		with(file("owned", "o"), func(h *tar.Header) { h.Uid = 7 }), dir("closed/", 0), file("closed/f", "f"),
		file("twice", "first"), file("twice", "second"), symlink("s", "a"), file("s/through", "t"),
		ent{tar.Header{Typeflag: tar.TypeChar, Name: "null", Mode: 0o666, Devmajor: 1, Devminor: 3}, ""},
	)
}

func temps(t testing.TB) func(string) (string, func(), error) {
	return func(string) (string, func(), error) {
		d := openDir(t)
		return d, func() {}, nil
	}
}

// T-18: whatever of a layer changes, the check sees it, and names the file.
func TestCheckNamesDamage(t *testing.T) {
	b := everyKind(t)
	rm := func(n string) func(string) error { return func(fs string) error { return os.RemoveAll(fs + "/" + n) } }
	for name, c := range map[string]struct {
		do   func(fs string) error
		path string // "" = any
	}{
		"contents":           {func(fs string) error { return os.WriteFile(fs+"/a/file", []byte("Contents"), 0o644) }, "a/file"},
		"longer":             {func(fs string) error { return os.WriteFile(fs+"/a/file", []byte("contents!"), 0o644) }, "a/file"},
		"gone":               {rm("a/file"), "a/file"},
		"a folder":           {func(fs string) error { return errors.Join(os.Remove(fs+"/a/file"), os.Mkdir(fs+"/a/file", 0o755)) }, "a/file"},
		"a link":             {func(fs string) error { return errors.Join(os.Remove(fs+"/a/file"), os.Symlink("../b", fs+"/a/file")) }, "a/file"},
		"an empty file gone": {rm("empty"), ""},
		"a link's target":    {func(fs string) error { return errors.Join(os.Remove(fs+"/l"), os.Symlink("a/filf", fs+"/l")) }, "l"},
		"a mode":             {func(fs string) error { return os.Chmod(fs+"/b", 0o645) }, "b"},
		"a folder's mode":    {func(fs string) error { return os.Chmod(fs+"/closed", 0o700) }, "closed"},
		"a whiteout gone":    {rm("gone"), ""},
		"an opaque mark":     {func(fs string) error { return unix.Removexattr(fs+"/o", opaqueXattr) }, ""},
		"an attribute":       {func(fs string) error { return unix.Setxattr(fs+"/x", "user.k", []byte("w"), 0) }, "x"},
		"a hard link": {func(fs string) error {
			return errors.Join(os.Remove(fs+"/b2"), os.WriteFile(fs+"/b2", []byte("b"), 0o644))
		}, "b2"},
		"a fifo gone":       {rm("p"), ""},
		"a file too much":   {func(fs string) error { return os.WriteFile(fs+"/more", nil, 0o644) }, "more"},
		"the last too much": {func(fs string) error { return os.WriteFile(fs+"/z", nil, 0o644) }, "z"},
		"a placeholder":     {func(fs string) error { return os.WriteFile(fs+"/null", []byte("x"), 0o644) }, "null"},
	} {
		d, _ := apply(t, b)
		l := store.Layer{Name: store.DigestOf(b).Hex(), Dir: d, FS: d + "/fs"}
		if err := Check(temps(t))(context.Background(), l); err != nil {
			t.Fatal(err)
		}
		if err := c.do(l.FS); err != nil {
			t.Fatal(err)
		}
		var de *DamageError
		if err := Check(temps(t))(context.Background(), l); !errors.As(err, &de) || c.path != "" && de.Path != c.path {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, _ := apply(t, b)
	var de *store.DigestError
	if err := Check(nil)(context.Background(), store.Layer{Name: store.DigestOf([]byte("other")).Hex(), Dir: d, FS: d + "/fs"}); !errors.As(err, &de) {
		t.Errorf("a layer under a wrong name: %v", err)
	}
}

// T-18: every single byte of the side data counts.
func TestCheckSeesEachByteOfTheSide(t *testing.T) {
	b := everyKind(t)
	d, _ := apply(t, b)
	l := store.Layer{Name: store.DigestOf(b).Hex(), Dir: d, FS: d + "/fs"}
	n := 0
	err := filepath.Walk(d+"/tar", func(path string, fi os.FileInfo, err error) error {
		if err != nil || fi.IsDir() {
			return err
		}
		n++
		good, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := 0; i < len(good); i += 1 + len(good)/40 {
			bad := bytes.Clone(good)
			bad[i] ^= 1
			if err := os.WriteFile(path, bad, 0o644); err != nil {
				return err
			}
			dir, _, _ := temps(t)("")
			// A few bits of zstd's own form say nothing: then what comes out is the same.
			if err := checkApplied(context.Background(), l, dir); err == nil && (inflated(good) == "" || inflated(good) != inflated(bad)) {
				t.Errorf("%s: byte %d of %d", filepath.Base(path), i, len(good))
			}
			removeAll(t, dir)
		}
		return os.WriteFile(path, good, 0o644)
	})
	if err != nil || n < 4 {
		t.Errorf("%d files, %v", n, err)
	}
	if err := Check(temps(t))(context.Background(), l); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

// inflated is "" for what is no zstd.
func inflated(b []byte) string {
	z, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		return ""
	}
	defer z.Close()
	out, err := io.ReadAll(z)
	if err != nil {
		return ""
	}
	return string(out)
}
