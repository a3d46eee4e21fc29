package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two processes come upon one damage. The other one is done, and has brought the thing again, right before this one makes a
// folder for what it takes out, or right before it takes it there: what was brought stays.
func TestWhatAnotherBroughtAgainStays(t *testing.T) {
	ctx := context.Background()
	const good = "good content"
	d := DigestOf([]byte(good))
	record := func(s *Store) string { return s.Path(ImageRefs, recordName("name")) }
	blob := func(s *Store) string { return s.Path(Blobs, d.Hex()) }
	putRecord := func(s *Store) error { return s.PutImage(ImageRecord{Ref: "name", Manifest: d}) }
	putBlob := func(s *Store) error { _, _, err := s.PutBlob(ctx, strings.NewReader(good), d); return err }
	for name, c := range map[string]struct {
		path func(s *Store) string
		put  func(s *Store) error
		come func(s *Store) error
	}{
		"find": {blob, putBlob, func(s *Store) error { s.HasBlob(ctx, d, int64(len(good))); return nil }},
		"read again": {blob, putBlob, func(s *Store) error {
			if s.Recheck(ctx, d) {
				return errors.New("the damaged one is right")
			}
			return nil
		}},
		"read and remove": {blob, putBlob, func(s *Store) error {
			f, err := os.Open(blob(s))
			if err != nil {
				return err
			}
			defer f.Close()
			return s.RemoveBlobFile(d, f)
		}},
		"verify":           {blob, putBlob, func(s *Store) error { _, err := s.Verify(ctx, VerifyOptions{Remove: true}); return err }},
		"verify, a record": {record, putRecord, func(s *Store) error { _, err := s.Verify(ctx, VerifyOptions{Remove: true}); return err }},
	} {
		for _, moment := range []string{"never", "mkdir", "rename"} {
			var other *Store
			hits := 0
			s := open(t, Options{Faults: func(op, path string) error {
				base := filepath.Base(path)
				if op == moment && (strings.HasPrefix(base, "damaged-") || base == "it") {
					hits++
					return errors.Join(os.Remove(c.path(other)), c.put(other))
				}
				return nil
			}})
			var err error
			if other, err = Open(s.Dir(), Options{}); err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if err := errors.Join(c.put(other), os.Chmod(c.path(s), 0o644), os.WriteFile(c.path(s), []byte("bad"), 0o644)); err != nil {
				t.Fatal(err)
			}
			if err := c.come(s); err != nil {
				t.Errorf("%s, %s: %v", name, moment, err)
			}
			_, err = os.Lstat(c.path(s))
			if there := err == nil; there == (moment == "never") || (hits == 1) == (moment == "never") {
				t.Errorf("%s, %s: it is there: %v; brought again %d times", name, moment, there, hits)
			}
			if damage, err := other.Verify(ctx, VerifyOptions{}); err != nil || len(damage) > 0 {
				t.Errorf("%s, %s: left damaged: %v, %v", name, moment, damage, err)
			}
			if l := left(t, s); len(l) > 0 {
				t.Errorf("%s, %s: left: %v", name, moment, l)
			}
		}
	}
}

// What cannot be read just now is not damaged: it stays.
func TestUnreadableBlobStays(t *testing.T) {
	s := open(t, Options{})
	d := put(t, s, "content")
	p, _ := s.BlobPath(context.Background(), d)
	os.Chmod(p, 0)
	if !s.Recheck(context.Background(), d) || gone(p) {
		t.Error("it was removed")
	}
	if _, err := s.ReadBlob(d, 100); os.Getuid() != 0 && (err == nil || !strings.Contains(err.Error(), p)) {
		t.Errorf("%v", err)
	}
}

// ReadBlob names what is damaged and leaves it, and finds the right one behind it.
func TestReadBlob(t *testing.T) {
	shared := open(t, Options{})
	s := open(t, Options{Chain: []string{shared.Dir()}})
	d := DigestOf([]byte("content"))
	if _, err := s.ReadBlob(d, 100); !errors.Is(err, ErrNotFound) {
		t.Errorf("not there: %v", err)
	}
	for _, text := range []string{"", "cut", "content and more"} {
		p := shared.Path(Blobs, d.Hex())
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadBlob(d, 100); err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), p) || gone(p) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := os.WriteFile(s.Path(Blobs, d.Hex()), []byte("content"), 0o444); err != nil {
		t.Fatal(err)
	}
	if b, err := s.ReadBlob(d, 100); err != nil || string(b) != "content" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := s.ReadBlob(d, 3); err == nil {
		t.Error("more than asked for")
	}
}
