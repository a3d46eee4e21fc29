package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// One maker for a name, over goroutines and processes; the others get what it made.
func TestOneMaker(t *testing.T) {
	s := open(t, Options{})
	var made atomic.Int32
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			out, err := call(t, "make", job{Dir: s.Dir(), Name: "abc", Text: fmt.Sprint("process ", i)}, false, nil)
			if err != nil {
				t.Error(err)
			}
			if strings.TrimSpace(out) == "true" {
				made.Add(1)
			}
		})
		wg.Go(func() {
			_, m, err := s.MakeLayer(context.Background(), "abc", func(dir string) error {
				return os.WriteFile(dir+"/fs/file", []byte("goroutine"), 0o644)
			})
			if err != nil {
				t.Error(err)
			}
			if m {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("%d makers", made.Load())
	}
	if l := left(t, s); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}

func TestMakerFails(t *testing.T) {
	s := open(t, Options{})
	bad := errors.New("bad input")
	_, _, err := s.MakeLayer(context.Background(), "abc", func(dir string) error {
		os.Mkdir(dir+"/fs/closed", 0)
		return bad
	})
	if !errors.Is(err, bad) {
		t.Errorf("error %v", err)
	}
	if _, ok := s.Layer(context.Background(), "abc"); ok || len(left(t, s)) > 0 {
		t.Errorf("something is left: %v", left(t, s))
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, _, err = s.MakeLayer(ctx, "abc", func(string) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	makeLayer(t, s, "abc", "good")
}

func TestNamesAreNoPaths(t *testing.T) {
	s := open(t, Options{})
	for _, n := range []string{"", ".", "..", "a/b", "../x", "A", ".hidden", "a\x00b", strings.Repeat("a", 129), "ä"} {
		if _, _, err := s.MakeLayer(context.Background(), n, func(string) error { return nil }); err == nil {
			t.Errorf("made %q", n)
		}
		if _, ok := s.Layer(context.Background(), n); ok {
			t.Errorf("found %q", n)
		}
		if s.SetDiffID(n, DigestOf(nil)) == nil || s.RemoveLayer(n) == nil {
			t.Errorf("used %q", n)
		}
		if _, err := s.Use(n); err == nil {
			t.Errorf("marked %q", n)
		}
	}
}

func TestFacts(t *testing.T) {
	s := open(t, Options{})
	a, b := DigestOf([]byte("a")), DigestOf([]byte("b"))
	l, _, err := s.MakeLayer(context.Background(), "abc", func(dir string) error { return NoteDiffID(dir, a) })
	if err != nil || l.DiffID != a {
		t.Fatalf("%+v, %v", l, err)
	}
	for _, d := range []Digest{b, b, a} {
		if err := errors.Join(s.SetDiffID("abc", d), s.SetFiles("abc", d)); err != nil {
			t.Fatal(err)
		}
		if l, _ := s.Layer(context.Background(), "abc"); l.DiffID != d || l.Files() != d {
			t.Errorf("%+v, files %s", l, l.Files())
		}
	}
	if err := s.SetDiffID("none", a); !errors.Is(err, ErrNotFound) {
		t.Errorf("no layer: %v", err)
	}
	if err := s.SetDiffID("abc", "../../x"); err == nil {
		t.Error("a diffID that is none")
	}
}

func TestImageRecords(t *testing.T) {
	s := open(t, Options{})
	d := DigestOf(nil)
	refs := []string{"a", "docker.io/library/debian:12", "host:5000/x@" + string(d), strings.Repeat("long/", 100), strings.Repeat("long/", 100) + "x", "../../etc/passwd", ".hidden", "Upper"}
	for _, r := range refs {
		for range 2 { // the second replaces the first
			if err := s.PutImage(ImageRecord{Ref: r, Manifest: d, Config: d, Layers: []string{"x"}}); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Image(r); err != nil || got.Ref != r || got.Manifest != d {
			t.Errorf("%q: %+v, %v", r, got, err)
		}
	}
	all, err := s.Images()
	if err != nil || len(all) != len(refs) {
		t.Errorf("%d records, %v", len(all), err)
	}
	for _, r := range refs {
		if err := s.RemoveImage(r); err != nil {
			t.Error(err)
		}
		if err := s.RemoveImage(r); !errors.Is(err, ErrNotFound) {
			t.Errorf("removed twice: %v", err)
		}
	}
	if all, err := s.Images(); err != nil || len(all) > 0 {
		t.Errorf("left: %v, %v", all, err)
	}
}

// A name is what the own store says, also where a chained one has it; who collects sees both records.
func TestRecordsOfAChain(t *testing.T) {
	shared := open(t, Options{})
	s := open(t, Options{Chain: []string{shared.Dir(), "/none"}})
	ours, theirs := DigestOf([]byte("ours")), DigestOf([]byte("theirs"))
	for _, ref := range []string{"both", "shared"} {
		if err := shared.PutImage(ImageRecord{Ref: ref, Manifest: theirs}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutImage(ImageRecord{Ref: "both", Manifest: ours}); err != nil {
		t.Fatal(err)
	}
	is := func(when, ref string, want Digest, dir string) {
		t.Helper()
		if r, err := s.Image(ref); err != nil || r.Manifest != want || r.Dir != dir {
			t.Errorf("%s, %s: %+v, %v", when, ref, r, err)
		}
	}
	is("before", "both", ours, s.Dir())
	is("before", "shared", theirs, shared.Dir())
	if list, err := s.Images(); err != nil || len(list) != 2 || list[0].Manifest != ours || list[1].Manifest != theirs {
		t.Errorf("%+v, %v", list, err)
	}
	if all, err := s.Records(); err != nil || len(all) != 3 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := s.RemoveImage("shared"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a name of the chain: %v", err)
	}
	if err := s.RemoveImage("both"); err != nil {
		t.Fatal(err)
	}
	is("after", "both", theirs, shared.Dir())
}

// T-21: a record that cannot be read stops whoever wants to collect by it, and is named.
func TestDamagedRecord(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "cut": `{"ref":"a`, "other": `{"x":1}`, "large": `{"ref":"` + strings.Repeat("a", recordMax) + `"}`} {
		s := open(t, Options{})
		p := s.Path(ImageRefs, "x.json")
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Images(); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// T-18: each damaged thing is named, and nothing else.
// What could not be checked is not damaged, and stays.
func TestVerifyRemovesNothingUnchecked(t *testing.T) {
	s := open(t, Options{})
	makeLayer(t, s, "abc", "of abc")
	for _, why := range []error{fmt.Errorf("%w: no reason", ErrUnchecked), Space(syscall.ENOSPC, "write", "x"), Space(syscall.EDQUOT, "write", "x")} {
		check := func(context.Context, Layer) error { return fmt.Errorf("check: %w", why) }
		if ds, err := s.Verify(context.Background(), VerifyOptions{Layer: check, Remove: true}); len(ds) > 0 || !errors.Is(err, why) {
			t.Errorf("%v: %v, %v", why, ds, err)
		}
		if _, ok := s.Layer(context.Background(), "abc"); !ok {
			t.Fatalf("%v: the layer is gone", why)
		}
	}
}

func TestVerify(t *testing.T) {
	s := open(t, Options{})
	good, bad := put(t, s, "good"), put(t, s, "bad")
	makeLayer(t, s, "abc", "of abc")
	makeLayer(t, s, "def", "of def")
	check := func(_ context.Context, l Layer) error {
		b, err := os.ReadFile(l.FS + "/file")
		if err == nil && !bytes.Equal(b, []byte("of "+l.Name)) {
			err = fmt.Errorf("file is %q", b)
		}
		return err
	}
	verify := func() string {
		var out []string
		ds, err := s.Verify(context.Background(), VerifyOptions{Layer: check})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			out = append(out, string(d.Kind)+" "+d.Name)
		}
		return strings.Join(out, ", ")
	}
	if d := verify(); d != "" {
		t.Fatalf("a good store: %s", d)
	}
	p, _ := s.BlobPath(context.Background(), bad)
	os.Chmod(p, 0o644)
	os.WriteFile(p, []byte("Bad"), 0o644)
	os.WriteFile(s.Path(Layers, "def", "fs", "file"), []byte("x"), 0o644)
	if d := verify(); d != "blob "+bad.Hex()+", layer def" {
		t.Errorf("damage: %s", d)
	}
	if err := errors.Join(s.RemoveBlob(bad), s.RemoveLayer("def")); err != nil {
		t.Fatal(err)
	}
	put(t, s, "bad")
	makeLayer(t, s, "def", "of def")
	if d := verify(); d != "" {
		t.Errorf("after the repair: %s", d)
	}
	if !s.HasBlob(context.Background(), good, 4) {
		t.Error("the good one is gone")
	}
}

// T-11, T-27: a wheel whose list of files is gone, cut short, or something that keeps a reader waiting is not looked into,
// not found, and made again.
func TestWheelsThatAreNotWhole(t *testing.T) {
	s := open(t, Options{})
	ctx := context.Background()
	fill := func(dir string) error { return os.WriteFile(dir+"/files", []byte("a list"), 0o444) }
	for name, spoil := range map[string]func(list string) error{
		"gone":   os.Remove,
		"short":  func(p string) error { return errors.Join(os.Chmod(p, 0o600), os.Truncate(p, 2)) },
		"a fifo": func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o600)) },
		"a link": func(p string) error { return errors.Join(os.Remove(p), os.Symlink("/etc/passwd", p)) },
	} {
		dir, _, err := s.MakeWheel(ctx, "abc", fill)
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(dir + "/files"); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Wheel(ctx, "abc"); ok {
			t.Errorf("%s: found", name)
		}
		damage, err := s.Verify(ctx, VerifyOptions{Wheel: func(context.Context, string) error { t.Errorf("%s: it was looked into", name); return nil }})
		if err != nil || len(damage) != 1 {
			t.Errorf("%s: %v, %v", name, damage, err)
		}
		if _, made, err := s.MakeWheel(ctx, "abc", fill); !made || err != nil {
			t.Errorf("%s: made again: %v, %v", name, made, err)
		}
	}
}
