package build

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images/layer"
)

func tarOf(t testing.TB, hh ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hh {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			w.Write(bytes.Repeat([]byte("x"), int(h.Size)))
		}
	}
	w.Close()
	b.Write(make([]byte, 10240-b.Len()%10240)) // tars are padded to records
	return b.Bytes()
}

func TestOwnerWatch(t *testing.T) {
	dir := t.TempDir()
	w, err := watchOwners(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{
		tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "./lib/a", Size: 700, Gid: 42, Gname: "shadow"}, tar.Header{Typeflag: tar.TypeReg, Name: "./b", Uid: 7, Uname: "lp"}),
		tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "./b", Uname: "root", Gname: "root"}, tar.Header{Typeflag: tar.TypeDir, Name: "./c/", Gid: 8}),
	} {
		if err := os.WriteFile(w.path, content, 0); err != nil { // as tee does: it opens the fifo anew
			t.Fatal(err)
		}
	}
	want := map[string]tarOwner{"lib/a": {0, 42, "", "shadow"}, "c": {0, 8, "", ""}}
	if got := w.Close(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLayerOwners(t *testing.T) {
	root := makeTree(t, map[string]string{
		"lib": "->usr/lib", "usr/lib/a": "", "usr/lib/b": "", "var/mail/": "", "var/spool/mail": "->../mail", "srv/d/e": "", "srv/link": "->d", "bin/helper": "",
		"etc/passwd": "root:x:0:0\nuser:x:101:102\nbroken", "etc/group": "root:x:0:\nmail:x:8:\nmess:x:33:\n",
		"var/lib/dpkg/statoverride": "root mess 4754 /bin/helper\nroot #77 755 /usr/lib/b\n",
	})
	tree := layer.NewStack([]string{root})
	defer tree.Close()
	log := strings.Join([]string{
		"chown", "/", "2", "root:mail", "/var/spool/mail",
		"chgrp", "/srv", "4", "-R", "--", "mail", "d",
		"chown", "/srv", "3", "-h", "user:", "link",
		"chown", "/srv", "2", "user", "d",
		"chown", "/", "3", "--from=root", "user", "/etc/passwd",
		"chown", "/", "2", "nobody-knows", "/nowhere",
		"",
	}, "\x00")
	got, err := layerOwners(root, tree, map[string]tarOwner{
		"lib/a": {5, 6, "user", "unknown"}, "gone": {1, 1, "", ""}, "usr/lib/b": {9, 9, "", ""},
	}, parseChowns(log))
	if err != nil {
		t.Fatal(err)
	}
	want := layer.Owners{
		"usr/lib/a": {UID: 101, GID: 6}, "var/mail": {GID: 8}, "srv/d": {UID: 101, GID: 8}, "srv/d/e": {GID: 8}, "srv/link": {UID: 101},
		"bin/helper": {GID: 33}, "usr/lib/b": {GID: 77},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestDpkgErrorKeepsWhatMatters(t *testing.T) {
	out := `Selecting previously unselected package a.
dpkg: regarding .../util.deb containing util-linux, pre-dependency problem:
 util-linux pre-depends on libc6
  libc6:amd64 is unpacked, but has never been configured.

dpkg: warning: ignoring pre-dependency problem!
Unpacking a (1) ...
/var/lib/dpkg/tmp.ci/preinst: 17: something: not found
dpkg: error processing archive ./a.deb (--unpack):
 new a package pre-installation script subprocess returned error exit status 127
` + strings.Repeat("Unpacking other (1) ...\n", 100)
	got := dpkgError(&ExitError{Args: []string{"sh"}, Code: 1}, out).Error()
	for _, want := range []string{"code 1", "something: not found", "exit status 127"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if strings.Contains(got, "pre-depends") || strings.Count(got, "\n") > 20 {
		t.Errorf("too much: %s", got)
	}
	if err := os.ErrNotExist; dpkgError(err, "") != err {
		t.Error("another error is changed")
	}
}

func FuzzReadTars(f *testing.F) {
	f.Add(tarOf(f, tar.Header{Typeflag: tar.TypeReg, Name: "./a", Size: 3, Gid: 42}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		readTars(r)
		if r.Len() >= 512 {
			t.Fatalf("%d bytes are left: dpkg would wait for ever", r.Len())
		}
	})
}

func FuzzParseChowns(f *testing.F) {
	f.Add("chown\x00/\x002\x00a:b\x00/c\x00chgrp\x00/x\x003\x00-R\x00g\x00y\x00")
	f.Fuzz(func(t *testing.T, log string) {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "c"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		tree := layer.NewStack([]string{root})
		defer tree.Close()
		if _, err := layerOwners(root, tree, nil, parseChowns(log)); err != nil {
			t.Fatal(err)
		}
	})
}
