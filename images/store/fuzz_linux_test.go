package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/internal/sealed"
)

const aHex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// FuzzImageRecord reads any bytes as the record of an image: an error, or what can be noted and read again.
func FuzzImageRecord(f *testing.F) {
	good := `{"ref":"docker.io/library/a:1","manifest":"sha256:` + aHex + `","config":"sha256:` + aHex + `","size":7,"pulled":"2026-01-02T03:04:05Z","layers":["` + aHex + `"]}`
	f.Add([]byte(good))
	f.Add(sealed.Seal([]byte(good)))
	f.Add(bytes.Replace(sealed.Seal([]byte(good)), []byte("size\":7"), []byte("size\":8"), 1))
	for _, s := range []string{"", "null", "[]", "{}", `{"ref":""}`, `{"ref":"a","size":1e400}`, `{"ref":"a","layers":null,"pulled":null}`, `{"ref":"../../x","manifest":"sha256:../x"}`, `{"ref":"\u0000\ud800"}`} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	s, err := Open(filepath.Join(dir, "store"), Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "record.json")
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := readRecord(path)
		if err != nil {
			return
		}
		if r.Ref == "" {
			t.Error("a record of nothing")
		}
		if err := s.PutImage(r); err != nil {
			return // a digest that is none, a year that nobody writes
		}
		again, err := s.Image(r.Ref)
		if err == nil && !again.Pulled.Equal(r.Pulled) {
			t.Errorf("pulled %v, then %v", r.Pulled, again.Pulled)
		}
		again.Pulled, r.Pulled, again.Dir = time.Time{}, time.Time{}, ""
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v, then %+v, %v", r, again, err)
		}
		if err := s.RemoveImage(r.Ref); err != nil {
			t.Error(err)
		}
	})
}

// FuzzNames: whatever is a name for the store is none of a path, and references do not share records.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"docker.io/library/a:1", "a%2fb", "a/b", ".", "..", "oci:../x", aHex, "sha256:" + aHex, strings.Repeat("a", 300), strings.Repeat("/", 100), "a\x00b", "ä"} {
		f.Add(s, "a/b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == "" || b == "" {
			return // no record is made of nothing
		}
		for _, name := range []string{recordName(a), recordName(b)} {
			if strings.ContainsAny(name, "/\x00") || name[0] == '.' || len(name) > 255 || !strings.HasSuffix(name, ".json") {
				t.Errorf("the record of %q is %q", a, name)
			}
		}
		if a != b && recordName(a) == recordName(b) {
			t.Errorf("%q and %q have one record: %s", a, b, recordName(a))
		}
		if checkName(a) == nil && (strings.ContainsAny(a, "/\x00") || strings.HasPrefix(a, ".") || len(a) > 128) {
			t.Errorf("%q passes as a name", a)
		}
		d, err := ParseDigest(a)
		if h := Digest(a).Hex(); (err == nil) != (h != "") {
			t.Errorf("%q: %v, but %q", a, err, h)
		}
		if err != nil {
			return
		}
		if again, err := FromHex(d.Hex()); err != nil || again != d || checkName(d.Hex()) != nil {
			t.Errorf("%q, then %q, %v", d, again, err)
		}
	})
}

// FuzzStoreFiles puts any bytes where the store keeps its number and what processes have leased, and any name where
// it keeps what a layer is: it is opened or refused, and a layer that is found is a whole one.
func FuzzStoreFiles(f *testing.F) {
	for _, s := range []string{"1\n", "1", "2\n", "0\n", "-1\n", "+1\n", "1\n\n", "", "99999999999999999999\n", "layer " + aHex + "\n", "\nlayer abc\nblob " + aHex[:10]} {
		f.Add([]byte(s), "1 5s 1 - -")
	}
	f.Add([]byte("1\n"), "sha256:"+aHex)
	f.Add([]byte("1\n"), "1")
	f.Fuzz(func(t *testing.T, b []byte, link string) {
		dir := t.TempDir()
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		layer := s.Path(Layers, "abc")
		if err := errors.Join(os.MkdirAll(layer+"/fs", 0o755), os.Mkdir(layer+"/tar", 0o755)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{WholeLink, diffIDLink, filesLink} {
			_ = os.Symlink(link, layer+"/"+name) // some can be none
		}
		if l, ok := s.Layer(t.Context(), "abc"); ok != (link == outline(KindLayer, layer)) || ok && l.DiffID != "" && l.DiffID.Hex() == "" {
			t.Errorf("a layer that is noted as %q: %v, %+v", link, ok, l)
		}
		if l := layerAt("abc", layer); l.DiffID != "" && string(l.DiffID) != link || l.Files() != l.DiffID {
			t.Errorf("a diffID that is noted as %q: %+v", link, l)
		}
		// The lease of a living process, with anything in it.
		held, err := tryLock(s.Path(Locks, leasePrefix+"0"), os.O_RDWR|os.O_CREATE, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		held.Write(b)
		leased, err := s.leased()
		if err != nil || strings.HasPrefix(string(b), "layer abc\n") && !leased["layer abc"] {
			t.Errorf("%v, %v", leased, err)
		}
		s.Close()
		if err := os.WriteFile(s.Path(formatFile), b, 0o644); err != nil {
			t.Fatal(err)
		}
		again, err := Open(dir, Options{})
		if err == nil {
			again.Close()
		}
		if one := strings.TrimLeft(strings.TrimSuffix(string(b), "\n"), "+0") == "1"; one != (err == nil) {
			t.Errorf("a store of format %q: %v", b, err)
		}
	})
}
