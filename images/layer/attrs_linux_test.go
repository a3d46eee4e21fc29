package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func with(e ent, f func(*tar.Header)) ent { f(&e.Header); return e }

func stat(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Sys().(*syscall.Stat_t)
}

// T-52, T-13: modes are exact whatever the umask, also those that keep their owner out.
func TestModesAreExact(t *testing.T) {
	modes := []int64{0o7777, 0o4755, 0o2755, 0o1777, 0o4111, 0o000, 0o200, 0o555, 0o444, 0o666}
	var es []ent
	for _, m := range modes {
		n := fmt.Sprintf("%04o/", m)
		es = append(es, dir("d"+n, m), with(file("d"+n+"f", "content"), func(h *tar.Header) { h.Mode = m }))
		es = append(es, with(xattrs(file("d"+n+"x", "content"), "user.k", "v"), func(h *tar.Header) { h.Mode = m }))
	}
	b := makeTar(t, es...)
	for _, umask := range []int{0, 0o022, 0o077} {
		d := newLayer(t)
		give(t, d)
		if err := asUser(t, false, "apply", applyJob{d, b, umask}, nil); err != nil {
			t.Fatalf("umask %03o: %v", umask, err)
		}
		for _, e := range es {
			p := d + "/fs/" + strings.TrimSuffix(e.Name, "/")
			if os.Getuid() != 0 {
				continue // the helper's own check of the bytes is all that can be looked at
			}
			if got := stat(t, p).Mode & 0o7777; int64(got) != e.Mode {
				t.Errorf("umask %03o: %s has mode %04o, want %04o", umask, e.Name, got, e.Mode)
			}
		}
		var packed Digests
		if err := asUser(t, false, "pack", d+"/fs", &packed); err != nil {
			t.Fatalf("pack as an ordinary user: %v", err)
		}
		again, err := DiffID(context.Background(), d+"/fs", PackOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if packed != again {
			t.Errorf("an ordinary user packs %v, this one %v", packed, again)
		}
	}
}

// T-5, T-57: times are exact, of folders too that later entries write to.
func TestTimesAreExact(t *testing.T) {
	times := []time.Time{time.Unix(0, 0), time.Unix(-5, 0), time.Unix(1<<33, 123456789), time.Unix(1_500_000_000, 1)}
	var es []ent
	for i, tm := range times {
		n := string(rune('a' + i))
		set := func(h *tar.Header) { h.ModTime, h.Format = tm, tar.FormatPAX }
		es = append(es, with(dir(n+"/", 0o755), set), with(file(n+"/f", "x"), set), with(symlink(n+"/l", "x"), set), with(fifo(n+"/p"), set))
	}
	for i := range times {
		es = append(es, with(file(string(rune('a'+i))+"/later", ""), func(h *tar.Header) { h.ModTime = time.Unix(77, 0) }))
	}
	d, _ := apply(t, makeTar(t, es...))
	for _, e := range es {
		st := stat(t, d+"/fs/"+e.Name)
		if got := time.Unix(st.Mtim.Sec, st.Mtim.Nsec); !got.Equal(e.ModTime) {
			t.Errorf("%s has time %v, want %v", e.Name, got, e.ModTime)
		}
	}
}

// T-53, T-55, T-56: what the file does not have is in the index, by real path, and comes back.
func TestOwnersIndex(t *testing.T) {
	own := func(u, g int) func(*tar.Header) {
		return func(h *tar.Header) { h.Uid, h.Gid, h.Format = u, g, tar.FormatPAX }
	}
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	d, info := apply(t, makeTar(t,
		with(file("a", "x"), own(65537, 2097153)), with(dir("d/", 0o755), own(1, 2)), with(symlink("l", "a"), own(4294967294, 3)),
		with(file("big", ""), own(4294967295, 1<<40)),
		xattrs(file("ping", "x"), "security.capability", capability, "user.k", "v", "user.overlay.x", "no", "trusted.t", "t"),
		xattrs(symlink("s", "a"), "user.k", "on a link"),
		ent{tar.Header{Typeflag: tar.TypeChar, Name: "null", Mode: 0o666, Devmajor: 1, Devminor: 3}, ""},
		symlink("usr", "real"), with(file("usr/f", "x"), own(7, 7)),
		with(file("twice", "x"), own(8, 8)), file("twice", "y"),
		with(file("gone/x", "x"), own(9, 9)), file("gone", "now a file"),
		file("strange\xff\n", ""), with(file("strange\xff\n", "x"), own(10, 10)),
	))
	want := Owners{
		"": {Inherit: true}, "real": {Inherit: true},
		"a": {UID: 65537, GID: 2097153}, "d": {UID: 1, GID: 2}, "l": {UID: 4294967294, GID: 3}, "big": {UID: 65534, GID: 65534},
		"ping":   {Xattrs: map[string]string{"security.capability": capability, "trusted.t": "t"}},
		"s":      {Xattrs: map[string]string{"user.k": "on a link"}},
		"null":   {Device: 'c', Major: 1, Minor: 3},
		"real/f": {UID: 7, GID: 7}, "strange\xff\n": {UID: 10, GID: 10},
	}
	got, err := ReadOwners(d)
	if err != nil {
		t.Fatal(err)
	}
	sameOwners(t, got, want)
	if len(info.Warnings) != 1 || info.Odd != "2 owners that cannot exist are nobody (65534)" {
		t.Errorf("want one warning about ids, have %q, %q", info.Warnings, info.Odd)
	}
	if v := readAttr(t, d+"/fs/ping", "user.k"); v != "v" {
		t.Errorf("user.k is %q", v)
	}
	if v := readAttr(t, d+"/fs/ping", "security.capability") + readAttr(t, d+"/fs/ping", "user.overlay.x"); v != "" {
		t.Errorf("attributes that must not be set: %q", v)
	}
	again := newLayer(t)
	if err := WriteOwners(again, want); err != nil {
		t.Fatal(err)
	}
	if got, err = ReadOwners(again); err != nil {
		t.Fatal(err)
	}
	sameOwners(t, got, want)
}

func sameOwners(t *testing.T, got *OwnerIndex, want Owners) {
	t.Helper()
	for p, o := range want {
		if g := got.Owner(p); !reflect.DeepEqual(g, o) {
			t.Errorf("%q: %+v, want %+v", p, g, o)
		}
	}
	if got.Len() != len(want) {
		t.Errorf("%d paths, want %d", got.Len(), len(want))
	}
}

func readAttr(t *testing.T, path, name string) string {
	t.Helper()
	b := make([]byte, 256)
	n, err := unix.Lgetxattr(path, name, b)
	if err == unix.ENODATA {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// An attribute that the file system has no room for is kept in the index, with a warning.
func TestLargeAttributeIsKept(t *testing.T) {
	big := strings.Repeat("v", 70_000)
	d, info := apply(t, makeTar(t, xattrs(file("a", "x"), "user.big", big)))
	o, err := ReadOwners(d)
	if err != nil {
		t.Fatal(err)
	}
	if o.Owner("a").Xattrs["user.big"] != big || len(info.Warnings) != 1 {
		t.Errorf("%d bytes kept, warnings %q", len(o.Owner("a").Xattrs["user.big"]), info.Warnings)
	}
}

// T-4: a folder that is there only as a parent gets the mode of the layers below back.
func TestInheritLayer(t *testing.T) {
	var layers []string
	for _, es := range [][]ent{
		ents(dir("./", 0o711), dir("root/", 0o700), dir("root/sub/", 0o1770), dir("plain/", 0o755), dir("hidden/", 0o700)),
		ents(file("root/sub/x", "x"), file("plain/x", "x"), file("new/x", "x"), file(".wh.hidden", "")),
		ents(file("root/y", "y"), file("hidden/x", "x")),
	} {
		d, _ := apply(t, makeTar(t, es...))
		layers = append(layers, d)
	}
	top := openDir(t) + "/fs"
	if err := os.Mkdir(top, 0o755); err != nil {
		t.Fatal(err)
	}
	n, err := InheritLayer(context.Background(), top, layers, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	view, err := describe(top)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "layer", view, ".=d 0711|root=d 0700|root/sub=d 1770")
	if n != 3 {
		t.Errorf("it says that it has %d folders", n)
	}
	empty := openDir(t)
	if n, err := InheritLayer(context.Background(), empty, layers[:1], Limits{}); n != 0 || err != nil {
		t.Errorf("one layer: %d, %v", n, err)
	}
}

// T-4: attributes come from the layer that has an entry for the folder, whatever lies between; times are those
// that show without the layer of folders too, never the present.
func TestInheritedAttributes(t *testing.T) {
	at := func(e ent, sec int64) ent { e.ModTime = time.Unix(sec, 5); e.Format = tar.FormatPAX; return e }
	var layers []string
	for _, es := range [][]ent{
		ents(at(dir("./", 0o755), 10), at(xattrs(dir("a/", 0o755), "user.k", "low", "user.overlay.opaque", "x"), 11), at(xattrs(dir("a/b/", 0o750), "user.k", "b"), 12), at(dir("plain/", 0o755), 13)),
		ents(at(file("a/b/x", "x"), 20), at(file("plain/x", "x"), 21)),
		ents(at(dir("a/", 0o755), 30), at(file("a/b/y", "y"), 31)),
		ents(at(file("a/z", "z"), 40)),
	} {
		d, _ := apply(t, makeTar(t, es...))
		layers = append(layers, d)
	}
	for i, want := range []string{
		2: "=755 20 k:, a=755 20 k:low, a/b=750 20 k:b", 3: "=755 30 k:, a=755 30 k:, a/b=750 31 k:b", 4: "=755 40 k:, a=755 40 k:, a/b=750 31 k:b",
	} {
		if want == "" {
			continue
		}
		top := openDir(t) + "/fs"
		if err := os.Mkdir(top, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := InheritLayer(context.Background(), top, layers[:i], Limits{}); err != nil {
			t.Fatal(err)
		}
		var got []string
		filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				t.Fatal(err)
			}
			st := stat(t, path)
			got = append(got, fmt.Sprintf("%s=%o %d k:%s", strings.TrimPrefix(strings.TrimPrefix(path, top), "/"), st.Mode&0o7777, st.Mtim.Sec, readAttr(t, path, "user.k")))
			return nil
		})
		if g := strings.Join(got, ", "); g != want {
			t.Errorf("%d layers: %s, want %s", i, g, want)
		}
	}
}

// T-7, T-57..59: streams that are cut, garbled or unusual.
func TestStreams(t *testing.T) {
	good := makeTar(t, file("a", strings.Repeat("x", 5000)), file("b", "b"))
	noEnd := good[:len(good)-1024]
	for _, c := range []struct {
		name string
		b    []byte
		err  string
	}{
		{"no bytes", nil, ""},
		{"no end blocks", noEnd, ""},
		{"one end block", good[:len(good)-512], ""},
		{"padding", append(bytes.Clone(good), make([]byte, 8192)...), ""},
		{"a second archive", append(bytes.Clone(good), makeTar(t, file("c", "c"))...), ""},
		{"garbage after the end", append(bytes.Clone(good), "garbage"...), ""},
		{"cut in a header", good[:100], "unexpected EOF"},
		{"cut in contents", good[:600], "unexpected EOF"},
		{"cut in the padding of contents", good[:512+5001], ""}, // nothing is missing; the digest is the caller's
		{"not a tar", bytes.Repeat([]byte("x"), 2048), "read the layer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newLayer(t)
			r := bytes.NewReader(c.b)
			_, err := Apply(context.Background(), r, d, ApplyOptions{})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Len() > 0 {
				t.Errorf("%d bytes were not read", r.Len())
			}
			if _, err := os.Stat(d + "/fs/c"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("an entry after the end was unpacked")
			}
			same(t, d, c.b)
		})
	}
}

// same checks that the layer gives its tar back.
func same(t testing.TB, d string, want []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := Reassemble(context.Background(), &b, d); err != nil {
		t.Error(err)
	} else if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("reassembled %d bytes are not the %d that were applied", b.Len(), len(want))
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		l    Limits
		ok   []ent
		bad  []ent
	}{
		{"entries", Limits{Entries: 2}, ents(file("a", ""), file("b", "")), ents(file("a", ""), file("b", ""), file("c", ""))},
		{"bytes", Limits{Bytes: 8192}, ents(file("a", "x")), ents(file("a", strings.Repeat("x", 9000)))},
		{"path", Limits{Path: 10}, ents(file("short", "")), ents(file("not/so/short", ""))},
	} {
		for _, es := range [][]ent{c.ok, c.bad} {
			_, err := Apply(context.Background(), bytes.NewReader(makeTar(t, es...)), newLayer(t), ApplyOptions{Limits: c.l})
			var le *LimitError
			if bad := len(es) == len(c.bad) && &es[0] == &c.bad[0]; errors.As(err, &le) != bad {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	_, err := Apply(context.Background(), bytes.NewReader(append(makeTar(t, file("a", "")), make([]byte, 1<<20)...)), newLayer(t), ApplyOptions{Limits: Limits{Bytes: 1 << 19}})
	var le *LimitError
	if !errors.As(err, &le) {
		t.Errorf("zeros after the end: %v", err)
	}
}
