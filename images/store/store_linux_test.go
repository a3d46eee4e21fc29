package store

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

func open(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.TempDir()+"/store", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t *testing.T, s *Store, content string) Digest {
	t.Helper()
	d, _, err := s.PutBlob(context.Background(), strings.NewReader(content), "")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// makeLayer makes a layer with one file of the given content.
func makeLayer(t *testing.T, s *Store, name, content string) Layer {
	t.Helper()
	l, made, err := s.MakeLayer(context.Background(), name, func(dir string) error {
		return os.WriteFile(dir+"/fs/file", []byte(content), 0o644)
	})
	if err != nil || !made {
		t.Fatalf("made %v, err %v", made, err)
	}
	return l
}

func TestBlobAndLayerComeBack(t *testing.T) {
	s := open(t, Options{})
	d := put(t, s, "hello")
	f, err := s.OpenBlob(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := s.OpenBlob(context.Background(), DigestOf([]byte("other"))); !errors.Is(err, ErrNotFound) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing blob: %v", err)
	}
	l := makeLayer(t, s, "abc", "x")
	if b, err := os.ReadFile(l.FS + "/file"); err != nil || string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
	if err := s.SetDiffID("abc", d); err != nil {
		t.Fatal(err)
	}
	if again, ok := s.Layer(context.Background(), "abc"); !ok || again.DiffID != d {
		t.Errorf("found %v, diffID %s", ok, again.DiffID)
	}
	if left, _ := os.ReadDir(s.Path(Temp)); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}
