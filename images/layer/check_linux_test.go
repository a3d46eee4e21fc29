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

// T-45: what AUFS kept for itself is in no tree, hard links to it hold, and the tar comes back; the layer is as it should be.
func TestFoldersOfAUFS(t *testing.T) {
	for name, c := range map[string]struct {
		es   []ent
		want string
	}{
		"hard links": {ents(dir("./", 0o755), dir(".wh..wh.plnk/", 0o700), file(".wh..wh.plnk/12.34", "both"), file(".wh..wh.plnk/12.35", "none"), dir("bin/", 0o755), hardlink("bin/a", ".wh..wh.plnk/12.34"), hardlink("bin/b", ".wh..wh.plnk/12.34")),
			"bin=d 0755|bin/a=f 0644 both|bin/b=f 0644 both"},
		"orphans, with all kinds": {ents(file("x", "x"), dir(".wh..wh.orph/d/", 0), file(".wh..wh.orph/d/f", "f"), file(".wh..wh.orph/.wh.gone", ""), opq(".wh..wh.orph/d/"), file(".wh..wh.orph/d", ""), dir(".wh..wh.orph/d/", 0o700), symlink(".wh..wh.orph/l", "../x"), fifo(".wh..wh.orph/p")), "x=f 0644 x"},
		"below a closed folder":   {ents(dir("c/", 0o500), file("c/.wh..wh.plnk/1.2", "one"), file("c/.wh..wh.plnk/.wh..wh.x/1.2", "two"), file("c/f", "f")), "c=d 0500|c/f=f 0644 f"},
		"in what is replaced":     {ents(file("r/.wh..wh.plnk/1.2", "one"), file("s/.wh..wh.plnk/1.2", "two"), file("s/.wh..wh.plnk/.wh.x", ""), file("r", "r"), symlink("s", "t"), dir("s/", 0o711), dir("t/", 0o755)), "r=f 0644 r|s=d 0711|t=d 0755"},
		"behind a link":           {ents(symlink("l", ".wh..wh.plnk"), file("l/1.2", "one"), hardlink("h", "l/1.2")), "l=l .wh..wh.plnk|h=f 0644 one"},
	} {
		for _, flushAt := range []int64{0, 1} {
			b := makeTar(t, c.es...)
			d := newLayer(t)
			give(t, d)
			if _, err := Apply(context.Background(), bytes.NewReader(b), d, ApplyOptions{flushAt: flushAt}); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			view, err := describe(d + "/fs")
			if err != nil {
				t.Fatal(err)
			}
			compare(t, name, view, c.want)
			same(t, d, b)
			if m := stat(t, d+"/fs").Mtim.Sec; m != 1_700_000_000 {
				t.Errorf("%s: the root is of %d", name, m)
			}
			if err := Check(temps(t))(context.Background(), store.Layer{Name: store.DigestOf(b).Hex(), Dir: d, FS: d + "/fs"}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
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
