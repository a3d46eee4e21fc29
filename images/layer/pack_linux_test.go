package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/store"
)

// entries reads a tar back as one line for each entry.
func entries(t *testing.T, b []byte) string {
	t.Helper()
	var out []string
	tr := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return strings.Join(out, "\n")
		}
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(tr)
		l := fmt.Sprintf("%c %q %04o %d:%d", h.Typeflag, h.Name, h.Mode, h.Uid, h.Gid)
		if h.Linkname != "" {
			l += " -> " + h.Linkname
		}
		if len(body) > 0 {
			l += fmt.Sprintf(" %q", body)
		}
		if h.Typeflag == tar.TypeChar {
			l += fmt.Sprintf(" %d,%d", h.Devmajor, h.Devminor)
		}
		for k, v := range h.PAXRecords {
			if strings.HasPrefix(k, "SCHILY") {
				l += fmt.Sprintf(" %s=%q", k, v)
			}
		}
		if h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(time.Unix(1234, 0)) {
			l += " names or times"
		}
		out = append(out, l)
	}
}

func TestPackIsCanonical(t *testing.T) {
	d, _ := apply(t, makeTar(t,
		dir("b/", 0o1777), file("b/z", "z"), hardlink("b/y", "b/z"), hardlink("a-first", "b/z"), file("b-c", "x"),
		symlink("link", "b/z"), fifo("pipe"), file(".wh.gone", ""), dir("o/", 0o755), opq("o/"), file("o/in", ""), file("o/.early", ""),
		xattrs(file("x", "x"), "user.k", "v"), with(file("setuid", ""), func(h *tar.Header) { h.Mode = 0o4755 }),
		file("long/"+strings.Repeat("n", 200), "n"), file("bad\xff", ""), file("dev", "")))
	fs := d + "/fs"
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(sock)
	if err := unix.Bind(sock, &unix.SockaddrUnix{Name: fs + "/socket"}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Lsetxattr(fs+"/x", "user.sandbox.owner", []byte("1:1"), 0); err != nil {
		t.Fatal(err)
	}
	o := PackOptions{Epoch: 1234, Owners: Owners{
		"b": {UID: 5, GID: 6}, "link": {UID: 7}, "dev": {Device: 'c', Major: 1, Minor: 3}, "x": {Xattrs: map[string]string{"security.capability": "cap"}}, "long": {Inherit: true},
	}}
	var b bytes.Buffer
	if err := Pack(context.Background(), &b, fs, o); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		`0 "a-first" 0644 0:0 "z"`, `5 "b/" 1777 5:6`, `1 "b/y" 0644 0:0 -> a-first`, `1 "b/z" 0644 0:0 -> a-first`,
		`0 "b-c" 0644 0:0 "x"`, `0 "bad\xff" 0644 0:0`, `3 "dev" 0644 0:0 1,3`, `0 ".wh.gone" 0000 0:0`, `2 "link" 0777 7:0 -> b/z`,
		`0 "long/` + strings.Repeat("n", 200) + `" 0644 0:0 "n"`, `5 "o/" 0755 0:0`, `0 "o/.wh..wh..opq" 0000 0:0`, `0 "o/.early" 0644 0:0`, `0 "o/in" 0644 0:0`,
		`6 "pipe" 0640 0:0`, `0 "setuid" 4755 0:0`, `0 "x" 0644 0:0 "x" SCHILY.xattr.security.capability="cap" SCHILY.xattr.user.k="v"`,
	}, "\n")
	got := entries(t, b.Bytes())
	got = strings.Replace(got, `SCHILY.xattr.user.k="v" SCHILY.xattr.security.capability="cap"`, `SCHILY.xattr.security.capability="cap" SCHILY.xattr.user.k="v"`, 1)
	if got != want {
		t.Errorf("packed\n%s\nwant\n%s", got, want)
	}
	// The bytes are a format: a change of them is a change of layer-format in every lock.
	const golden = "sha256:c4dc5337f2927330a1ef9950d8a3d52fc2f3db7d116bf57d6c2fd27da737a3eb"
	dg, err := DiffID(context.Background(), fs, o)
	if err != nil {
		t.Fatal(err)
	}
	if dg.DiffID != store.DigestOf(b.Bytes()) || dg.Bytes != int64(b.Len()) {
		t.Errorf("DiffID says %v of what Pack writes: %s", dg, store.DigestOf(b.Bytes()))
	}
	if dg.DiffID != golden {
		t.Errorf("the tar's digest is %s", dg.DiffID)
	}
	var list bytes.Buffer
	if err := List(context.Background(), &list, fs, o); err != nil {
		t.Fatal(err)
	}
	if dg.Files != store.DigestOf(list.Bytes()) {
		t.Errorf("the list is not that of DiffID:\n%s", list.String())
	}
	// Without links each name stands for itself, and a copy packs to the same bytes.
	o.NoHardlinks = true
	alone, err := DiffID(context.Background(), fs, o)
	if err != nil {
		t.Fatal(err)
	}
	copied := openDir(t) + "/fs"
	if out, err := exec.Command("cp", "-PR", "--preserve=mode,xattr", fs, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, l := range []string{"b/y", "a-first"} {
		if stat(t, copied+"/"+l).Nlink != 1 {
			t.Fatal("the copy is no copy")
		}
	}
	if c, err := DiffID(context.Background(), copied, o); err != nil || c != alone {
		t.Errorf("a copy packs to %v (%v), the original to %v", c, err, alone)
	}
}

// What was packed unpacks to the same tree, and that packs to the same bytes.
func TestPackRoundTrip(t *testing.T) {
	n := 0
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 3))
		d := newLayer(t)
		if _, err := Apply(context.Background(), bytes.NewReader(randomLayer(t, r, 7)), d, ApplyOptions{}); err != nil {
			continue
		}
		n++
		owners, err := ReadOwners(d)
		if err != nil {
			t.Fatal(err)
		}
		var first, second bytes.Buffer
		if err := Pack(context.Background(), &first, d+"/fs", PackOptions{Owners: owners}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		again, _ := apply(t, first.Bytes())
		if owners, err = ReadOwners(again); err != nil {
			t.Fatal(err)
		}
		if err := Pack(context.Background(), &second, again+"/fs", PackOptions{Owners: owners}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("seed %d: packed\n%s\nthen\n%s", seed, entries(t, first.Bytes()), entries(t, second.Bytes()))
		}
	}
	if n < 30 {
		t.Errorf("only %d of 120 layers could be applied", n)
	}
}

// Large files, and so many small ones that all readers are busy.
func TestPackLarge(t *testing.T) {
	fs := openDir(t)
	r := rand.NewChaCha8([32]byte{})
	for i := range 300 {
		b := make([]byte, i*37%5000)
		if i%50 == 0 {
			b = make([]byte, 700_000+i)
		}
		r.Read(b)
		if err := os.WriteFile(fmt.Sprintf("%s/f%03d", fs, i), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := Pack(context.Background(), &b, fs, PackOptions{}); err != nil {
		t.Fatal(err)
	}
	d, _ := apply(t, b.Bytes())
	want, err := DiffID(context.Background(), fs, PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := DiffID(context.Background(), d+"/fs", PackOptions{})
	if err != nil || got != want {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

func TestPackErrors(t *testing.T) {
	fs := openDir(t)
	if err := os.WriteFile(fs+"/.wh.x", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Pack(context.Background(), io.Discard, fs, PackOptions{}); err == nil || !strings.Contains(err.Error(), ".wh.x") {
		t.Errorf("a name that means something else in a layer: %v", err)
	}
	os.Remove(fs + "/.wh.x")
	for i := range 500 {
		os.WriteFile(fmt.Sprintf("%s/%d", fs, i), []byte("x"), 0o644)
	}
	if err := Pack(context.Background(), full{}, fs, PackOptions{}); err == nil {
		t.Error("a writer that fails is not noticed")
	}
	if err := Pack(context.Background(), io.Discard, fs+"/none", PackOptions{}); !os.IsNotExist(err) {
		t.Errorf("no tree: %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, unix.ENOSPC }

// File capabilities that were set in a user namespace carry its root's id, which must not get out.
func TestCapabilityRevision(t *testing.T) {
	v3 := binary.LittleEndian.AppendUint32([]byte{1, 0, 0, 3}, 0x2000)
	v3 = append(v3, make([]byte, 12)...)
	v3 = binary.LittleEndian.AppendUint32(v3, 54321)
	v2 := append([]byte{1, 0, 0, 2, 0, 0x20, 0, 0}, make([]byte, 12)...)
	if got := capV2(bytes.Clone(v3)); !bytes.Equal(got, v2) {
		t.Errorf("%x, want %x", got, v2)
	}
	if got := capV2(bytes.Clone(v2)); !bytes.Equal(got, v2) {
		t.Errorf("revision 2 was changed: %x", got)
	}
}

// T-58: GNU tar's own sparse files, in all its formats.
func TestSparse(t *testing.T) {
	src := openDir(t)
	f, err := os.Create(src + "/sparse")
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, 1 << 20, 5<<20 + 17, 9 << 20} {
		if _, err := f.WriteAt([]byte(fmt.Sprintf("data at %d", off)), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(12 << 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	want, _ := os.ReadFile(src + "/sparse")
	for _, format := range [][]string{{"--format=gnu"}, {"--format=posix", "--sparse-version=0.0"}, {"--format=posix", "--sparse-version=0.1"}, {"--format=posix", "--sparse-version=1.0"}} {
		args := append([]string{"-C", src, "--sparse", "-c"}, append(format, "sparse")...)
		b, err := exec.Command("tar", args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 1<<20 {
			t.Fatalf("%v: the tar is not sparse", format)
		}
		d, _ := apply(t, b)
		got, err := os.ReadFile(d + "/fs/sparse")
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %d bytes, %v", format, len(got), err)
		}
		if st := stat(t, d+"/fs/sparse"); st.Blocks*512 > 4<<20 {
			t.Errorf("%v: %d bytes on disk", format, st.Blocks*512)
		}
		same(t, d, b)
		_, err = Apply(context.Background(), bytes.NewReader(b), newLayer(t), ApplyOptions{Limits: Limits{Bytes: 8 << 20}})
		var le *LimitError
		if !errors.As(err, &le) {
			t.Errorf("%v: a sparse file over the limit: %v", format, err)
		}
	}
}

// The upper directory of a real overlay becomes a layer that shows the same on top of the same lowers.
func TestCleanUpper(t *testing.T) {
	low, _ := apply(t, makeTar(t, dir("d/", 0o755), file("d/a", "a"), file("d/b", "b"), dir("e/", 0o755), file("e/x", "x"), file("ro", "ro"),
		with(file("none", "secret"), func(h *tar.Header) { h.Mode = 0 })))
	base := openDir(t)
	for _, n := range []string{"u", "w", "m"} {
		if err := os.Mkdir(filepath.Join(base, n), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	give(t, low, base)
	job := upperJob{Lower: low + "/fs", Dir: base}
	var seen map[string]string
	if err := asUser(t, true, "upper", job, &seen); err != nil {
		t.Fatal(err)
	}
	if err := asUser(t, false, "clean", base+"/u", nil); err != nil {
		t.Fatal(err)
	}
	var view map[string]string
	mnt := openDir(t) + "/m"
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	give(t, filepath.Dir(mnt))
	if err := asUser(t, true, "look", lookJob{[]string{low + "/fs", base + "/u"}, mnt}, &view); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(view) != fmt.Sprint(seen) {
		t.Errorf("as a layer\n %v\nin the sandbox\n %v", view, seen)
	}
	owners := Owners{}
	var b bytes.Buffer
	if err := Pack(context.Background(), &b, base+"/u", PackOptions{Epoch: 1234, Owners: owners}); err != nil {
		t.Fatal(err)
	}
	got := entries(t, b.Bytes())
	for _, l := range []string{`"d/.wh.a"`, `"e/.wh..wh..opq"`, `"e/new" 0600 0:0 "new"`, `"ro" 0444`, `"none" 0000 0:0 "changed"`} {
		if !strings.Contains(got, l) {
			t.Errorf("no %s in\n%s", l, got)
		}
	}
	if strings.Contains(got, "overlay") {
		t.Errorf("attributes of the overlay are in the layer:\n%s", got)
	}
}

type upperJob struct{ Lower, Dir string }

// work does in an overlay what a user does in a sandbox, and describes the result.
func (j upperJob) work() (map[string]string, error) {
	m := j.Dir + "/m"
	if err := unix.Mount("overlay", m, "overlay", 0, "userxattr,lowerdir="+j.Lower+",upperdir="+j.Dir+"/u,workdir="+j.Dir+"/w"); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	defer unix.Unmount(m, unix.MNT_DETACH)
	for _, f := range []func() error{
		func() error { return os.Remove(m + "/d/a") },
		func() error { return os.RemoveAll(m + "/e") },
		func() error { return os.Mkdir(m+"/e", 0o755) },
		func() error { return os.WriteFile(m+"/e/new", []byte("new"), 0o600) },
		func() error { return os.Chmod(m+"/ro", 0o444) },
		func() error { return os.WriteFile(m+"/none", []byte("changed"), 0) },
		func() error { return os.WriteFile(m+"/d/b", []byte("changed"), 0) },
	} {
		if err := f(); err != nil {
			return nil, err
		}
	}
	return describe(m)
}
