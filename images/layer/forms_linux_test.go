package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images/store"
)

// T-47: every kind of thing over every other, in one layer and over a lower one.
func TestTypeChanges(t *testing.T) {
	kinds := map[string]struct {
		make func(n string) []ent
		want string // of n; "N" stands for its contents' origin
	}{
		"file":      {func(n string) []ent { return ents(file("n", "content "+n)) }, "n=f 0644 content N"},
		"empty":     {func(string) []ent { return ents(file("n", "")) }, "n=f 0644 "},
		"folder":    {func(n string) []ent { return ents(dir("n/", 0o711), file("n/"+n, n)) }, "n=d 0711|n/N=f 0644 N"},
		"link":      {func(n string) []ent { return ents(symlink("n", n)) }, "n=l N"},
		"fifo":      {func(string) []ent { return ents(fifo("n")) }, "n=p 0640"},
		"hard link": {func(n string) []ent { return ents(file("k"+n, "kept "+n), hardlink("n", "k"+n)) }, "n=f 0644 kept N|kN=f 0644 kept N"},
		"device": {func(string) []ent {
			return ents(ent{tar.Header{Typeflag: tar.TypeChar, Name: "n", Mode: 0o644, Devmajor: 1, Devminor: 5}, ""})
		}, "n=f 0644 "},
	}
	for was, first := range kinds {
		for is, second := range kinds {
			want := strings.ReplaceAll(second.want, "N", "2")
			if was == "hard link" {
				want += "|k1=f 0644 kept 1"
			}
			if was == "folder" && is == "folder" {
				want += "|n/1=f 0644 1"
			}
			a, b := first.make("1"), second.make("2")
			t.Run(was+" to "+is, func(t *testing.T) {
				one, _ := apply(t, makeTar(t, append(append([]ent{}, a...), b...)...))
				low, _ := apply(t, makeTar(t, a...))
				high, _ := apply(t, makeTar(t, b...))
				for how, trees := range map[string][]string{"in one layer": {one + "/fs"}, "over a lower one": {low + "/fs", high + "/fs"}} {
					view, err := describeStack(NewStack(trees))
					if err != nil {
						t.Fatal(err)
					}
					compare(t, "stack, "+how+",", view, want)
				}
			})
		}
	}
}

// paxRaw is a PAX record written by hand, right or wrong, before a file called f.
func paxRaw(t testing.TB, kind byte, records string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	// The library writes no such thing, so the header is that of a file, with its type changed after.
	if err := w.WriteHeader(&tar.Header{Name: "PaxHeader", Size: int64(len(records)), Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, records)
	w.Flush()
	h := b.Bytes()[:512]
	h[156] = kind
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(b.Bytes(), makeTar(t, file("f", "x"))...)
}

func record(k, v string) string {
	for n := len(k) + len(v) + 3; ; n++ {
		if s := fmt.Sprintf("%d %s=%s\n", n, k, v); len(s) <= n {
			return s
		}
	}
}

// T-57: PAX as POSIX has it, and what is wrong with it is an error that costs nothing.
func TestPaxForms(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want string // view
		err  string
	}{
		"path":               {paxRaw(t, 'x', record("path", "long/name")), "long=d 0755|long/name=f 0644 x", ""},
		"path and size":      {paxRaw(t, 'x', record("path", "p")+record("size", "1")), "p=f 0644 x", ""},
		"global path":        {paxRaw(t, 'g', record("path", "global")), "f=f 0644 x", ""}, // its values are nobody's own: left out
		"global comment":     {paxRaw(t, 'g', record("comment", "0123456789abcdef")), "f=f 0644 x", ""},
		"an unknown key":     {paxRaw(t, 'x', record("VENDOR.key", "v")), "f=f 0644 x", ""},
		"deleted":            {paxRaw(t, 'x', record("path", "")), "f=f 0644 x", ""},
		"no length":          {paxRaw(t, 'x', "path=x\n"), "", "header"},
		"a wrong length":     {paxRaw(t, 'x', "99 path=x\n"), "", "header"},
		"no end of line":     {paxRaw(t, 'x', "9 path=xy"), "", "header"},
		"a huge length":      {paxRaw(t, 'x', "99999999999999999999 path=x\n"), "", "header"},
		"a size that is not": {paxRaw(t, 'x', record("size", "many")), "", "header"},
		"a negative size":    {paxRaw(t, 'x', record("size", "-1")), "", ""},
		"a time that is not": {paxRaw(t, 'x', record("mtime", "today")), "", "header"},
		"a NUL in the name":  {paxRaw(t, 'x', record("path", "a\x00b")), "", "header"},
		"64 MiB of record":   {paxRaw(t, 'x', record("comment", strings.Repeat("c", 64<<20))), "", "too long"},
		"64 MiB of path":     {paxRaw(t, 'x', record("path", strings.Repeat("p", 64<<20))), "", "too long"},
		"64 MiB of GNU name": {paxRaw(t, 'L', strings.Repeat("p", 64<<20)), "", "too long"},
		"an attribute":       {paxRaw(t, 'x', record("SCHILY.xattr.user.k", "a\x00b=c\n")), "f=f 0644 x", ""},
		"no attribute name":  {paxRaw(t, 'x', record("SCHILY.xattr.", "v")), "f=f 0644 x", ""},
		"a long attribute":   {paxRaw(t, 'x', record("SCHILY.xattr.user."+strings.Repeat("n", 300), "v")), "f=f 0644 x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			d := newLayer(t)
			_, err := Apply(context.Background(), bytes.NewReader(c.b), d, ApplyOptions{})
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
				t.Errorf("%d MiB were taken", used>>20)
			}
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			view, err := describe(d + "/fs")
			if err != nil {
				t.Fatal(err)
			}
			compare(t, "tree", view, c.want)
			same(t, d, c.b)
		})
	}
}

// T-57, T-59, T-60: what GNU tar writes in all its formats comes out as it went in.
func TestFormatsOfGNUTar(t *testing.T) {
	src := openDir(t)
	long := strings.Repeat("0123456789", 25) // 250 bytes
	names := []string{"short", long, strings.Repeat("d"+long+"/", 10) + "deep", "non-utf8-\xff\xfe", "new\nline", "u\u0308 and \u00fc", `back\slash`}
	for _, format := range []string{"v7", "oldgnu", "gnu", "ustar", "posix"} {
		var fits []string
		for _, n := range names {
			if (format == "v7" || format == "ustar") && len(n) > 90 {
				continue
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(src, n)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(src, n), []byte("of "+n), 0o640); err != nil {
				t.Fatal(err)
			}
			fits = append(fits, n)
		}
		b, err := exec.Command("tar", append([]string{"-C", src, "--format=" + format, "--owner=7:7", "--group=8:8", "-c", "--"}, fits...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		d, info := apply(t, b)
		owners, err := ReadOwners(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range fits {
			got, err := os.ReadFile(filepath.Join(d, "fs", n))
			if err != nil || string(got) != "of "+n || owners.Owner(n).UID != 7 || owners.Owner(n).GID != 8 {
				t.Errorf("%s: %q: %q, %v, %+v", format, n, got, err, owners.Owner(n))
			}
		}
		if len(info.Warnings) > 0 {
			t.Errorf("%s: %q", format, info.Warnings)
		}
		same(t, d, b)
	}
}

// T-58, T-86: a tar of some KiB that says that its file has a TiB is refused before it costs anything, and holes
// below the limit take no room.
func TestHugeSparse(t *testing.T) {
	src := openDir(t)
	for _, size := range []int64{1 << 40, 8 << 30} {
		f, err := os.Create(src + "/sparse")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil { // ext4 and xfs hold 16 TiB
			t.Fatal(err)
		}
		f.Close()
		b, err := exec.Command("tar", "-C", src, "--sparse", "--format=posix", "-c", "sparse").Output()
		if err != nil {
			t.Fatal(err)
		}
		d := newLayer(t)
		_, err = Apply(context.Background(), bytes.NewReader(b), d, ApplyOptions{})
		var le *LimitError
		if size > 512<<30 {
			if !errors.As(err, &le) {
				t.Errorf("%d bytes: %v", size, err)
			}
		} else if err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if used := store.Size(d); used > 1<<20 {
			t.Errorf("%d bytes on the disk for a hole of %d", used, size)
		}
	}
}
