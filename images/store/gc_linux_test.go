package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func nothingKept(Kind, string) bool { return false }

func collect(t *testing.T, s *Store, keep Keep, o GCOptions) Freed {
	t.Helper()
	o.DryRun = true
	size := func() int64 { return Size(s.Path("blobs-v1"), s.Path(Layers), s.Path(Wheels)) }
	before := size()
	dry, err := s.GC(context.Background(), keep, o)
	if err != nil {
		t.Fatal(err)
	}
	if after := size(); after != before {
		t.Errorf("the dry run changed %d bytes to %d", before, after)
	}
	o.DryRun = false
	f, err := s.GC(context.Background(), keep, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []Freed{dry, f} {
		slices.SortFunc(x.Items, func(a, b Item) int { return strings.Compare(string(a.Kind)+a.Name, string(b.Kind)+b.Name) })
	}
	if !reflect.DeepEqual(dry, f) {
		t.Errorf("the dry run said %+v, it was %+v", dry, f)
	}
	if l := left(t, s); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
	return f
}

func TestGCDeletesWhatIsNotKept(t *testing.T) {
	s := open(t, Options{})
	a, b := put(t, s, "a"), put(t, s, "b")
	makeLayer(t, s, "la", "x")
	makeLayer(t, s, "lb", "x")
	for _, w := range []string{"wa", "wb"} {
		if _, _, err := s.MakeWheel(context.Background(), w, func(string) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(s.Path(Partial, DigestOf([]byte("c")).Hex()), []byte("rest"), 0o644)
	os.WriteFile(s.Path(Locks, "layer.dead"), nil, 0o600)
	os.Mkdir(s.Path(Layers, "Not Ours"), 0o755)
	f := collect(t, s, func(k Kind, n string) bool { return n == a.Hex() || n == "la" || n == "wa" }, GCOptions{})
	if f.Layers != 1 || f.Wheels != 1 || f.Blobs != 2 {
		t.Errorf("%+v", f)
	}
	_, la := s.Layer(context.Background(), "la")
	_, lb := s.Layer(context.Background(), "lb")
	_, wa := s.Wheel(context.Background(), "wa")
	_, wb := s.Wheel(context.Background(), "wb")
	if !s.HasBlob(context.Background(), a, 1) || !la || !wa || s.HasBlob(context.Background(), b, 1) || lb || wb {
		t.Error("the wrong things are left")
	}
	if _, err := os.Stat(s.Path(Layers, "Not Ours")); err != nil {
		t.Errorf("a folder that is not ours: %v", err)
	}
}

// T-23, T-24: what a process uses is spared, by the mark alone; when it dies the mark is gone.
func TestGCSparesWhatIsUsed(t *testing.T) {
	for _, how := range []string{"use", "lease"} {
		s := open(t, Options{})
		makeLayer(t, s, "abc", "x")
		s.Close()
		c, out, _ := start(t, how, job{Dir: s.Dir(), Name: "abc"}, false, nil)
		if l, err := out.ReadString('\n'); err != nil || !strings.HasSuffix(l, "d\n") {
			t.Fatalf("%q, %v", l, err)
		}
		if f := collect(t, s, nothingKept, GCOptions{}); f.Layers != 0 {
			t.Errorf("%s: a used layer was collected", how)
		}
		c.Process.Kill()
		c.Wait()
		if f := collect(t, s, nothingKept, GCOptions{}); f.Layers != 1 {
			t.Errorf("%s: a layer whose user died was not collected", how)
		}
	}
}

// T-22: no mark, lease or lock is decided by a clock. All times are as if it had jumped by ten years since: what a
// process uses stays, and as soon as the process is dead it goes.
func TestClocksDecideNothing(t *testing.T) {
	for _, years := range []int{-10, 10} {
		for _, how := range []string{"use", "lease", "blob"} {
			s := open(t, Options{})
			makeLayer(t, s, "abc", "x")
			work, cleanup, err := s.TempDir("work")
			if err != nil {
				t.Fatal(err)
			}
			defer cleanup()
			c, out, _ := start(t, how, job{Dir: s.Dir(), Name: "abc", Text: "a blob that arrives"}, false, nil)
			if l, err := out.ReadString('\n'); err != nil {
				t.Fatalf("%q, %v", l, err)
			}
			if err := s.Close(); err != nil { // its own lease
				t.Fatal(err)
			}
			jump(t, s, years)
			next, err := Open(s.Dir(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			if _, err := os.Stat(work); err != nil {
				t.Errorf("%d years, %s: the work of a living process was removed: %v", years, how, err)
			}
			for _, alive := range []bool{true, false} {
				if !alive {
					c.Process.Kill()
					c.Wait()
				}
				f, err := next.GC(context.Background(), func(_ Kind, n string) bool { return n == "abc" && how == "blob" }, GCOptions{})
				if err != nil || (f.Layers+f.Blobs == 0) != alive {
					t.Errorf("%d years, %s, alive %v: %+v, %v", years, how, alive, f, err)
				}
			}
		}
	}
}

// jump gives everything that a decision could look at another time. What is below a layer's own folder stays: its
// times are the image's.
func jump(t *testing.T, s *Store, years int) {
	t.Helper()
	then := time.Now().AddDate(years, 0, 0)
	for _, folder := range []string{Locks, Temp, Partial, Layers} {
		entries, err := os.ReadDir(s.Path(folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if err := os.Chtimes(s.Path(folder, e.Name()), then, then); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// T-23: a run starts after the marking and before the deleting, which here is while keep is asked.
func TestGCAsksAgainBeforeDeleting(t *testing.T) {
	s := open(t, Options{})
	other, err := Open(s.Dir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, n := range []string{"used", "pulled", "free"} {
		makeLayer(t, s, n, n)
	}
	var release func()
	f, err := s.GC(context.Background(), func(k Kind, n string) bool {
		if release == nil {
			if release, err = other.Use("used"); err != nil {
				t.Error(err)
			}
			if _, made, err := other.MakeLayer(context.Background(), "pulled", func(string) error { return nil }); made || err != nil {
				t.Errorf("made %v, %v", made, err)
			}
		}
		return false
	}, GCOptions{})
	if err != nil || f.Layers != 1 {
		t.Errorf("%+v, %v", f, err)
	}
	for n, want := range map[string]bool{"used": true, "pulled": true, "free": false} {
		if _, ok := s.Layer(context.Background(), n); ok != want {
			t.Errorf("%s is there: %v", n, ok)
		}
	}
	release()
	if _, err := s.Use("free"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a collected layer: %v", err)
	}
}

// Marks that a child keeps hold after the one who took them is done.
func TestMarksArePassedOn(t *testing.T) {
	s := open(t, Options{})
	makeLayer(t, s, "abc", "x")
	files, err := s.UseFiles("abc")
	if err != nil {
		t.Fatal(err)
	}
	c, _, _ := start(t, "use", job{Dir: s.Dir(), Name: "none"}, false, nil)
	c.Wait()
	kept := files[0]
	if f := collect(t, s, nothingKept, GCOptions{}); f.Layers != 0 {
		t.Error("a marked layer was collected")
	}
	kept.Close()
	if f := collect(t, s, nothingKept, GCOptions{}); f.Layers != 1 {
		t.Error("the mark outlived its file")
	}
	if _, err := s.UseFiles("abc"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// T-22 and the limits: age, size, and a time of use that is yet to come.
func TestGCLimits(t *testing.T) {
	s := open(t, Options{})
	now := time.Now()
	for n, used := range map[string]time.Time{"old": now.Add(-48 * time.Hour), "new": now.Add(-time.Hour), "future": now.AddDate(10, 0, 0)} {
		makeLayer(t, s, n, strings.Repeat(n, 10_000))
		if err := os.Chtimes(s.Path(Layers, n), used, used); err != nil {
			t.Fatal(err)
		}
	}
	if f := collect(t, s, nothingKept, GCOptions{OlderThan: 24 * time.Hour}); f.Layers != 1 {
		t.Errorf("by age: %+v", f)
	}
	if _, ok := s.Layer(context.Background(), "old"); ok {
		t.Error("the old one is left")
	}
	total := Size(s.Path("blobs-v1"), s.Path(Layers), s.Path(Wheels))
	if f := collect(t, s, nothingKept, GCOptions{MaxSize: total}); f.Layers != 0 {
		t.Errorf("a store that is small enough: %+v", f)
	}
	if f := collect(t, s, nothingKept, GCOptions{MaxSize: total - 1}); f.Layers != 1 {
		t.Errorf("by size: %+v", f)
	}
	if _, ok := s.Layer(context.Background(), "new"); ok {
		t.Error("the one that was used last went first")
	}
	// A use makes young again.
	makeLayer(t, s, "used", "x")
	os.Chtimes(s.Path(Layers, "used"), now.AddDate(-1, 0, 0), now.AddDate(-1, 0, 0))
	release, err := s.Use("used")
	if err != nil {
		t.Fatal(err)
	}
	release()
	if f := collect(t, s, nothingKept, GCOptions{OlderThan: 24 * time.Hour}); f.Layers != 0 {
		t.Errorf("a layer that was just used: %+v", f)
	}
}

// Files that belong to a wheel and to a layer are one file on the disk.
func TestSizesCountLinksOnce(t *testing.T) {
	s := open(t, Options{})
	big := strings.Repeat("x", 1<<20)
	w, _, err := s.MakeWheel(context.Background(), "aaa", func(dir string) error { return os.WriteFile(dir+"/f", []byte(big), 0o644) })
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"one", "two"} {
		_, _, err := s.MakeLayer(context.Background(), n, func(dir string) error { return os.Link(w+"/f", dir+"/fs/f") })
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := Size(s.Path(Layers), s.Path(Wheels)); n < 1<<20 || n > 3<<19 {
		t.Errorf("the store has %d bytes", n)
	}
	if f := collect(t, s, func(k Kind, n string) bool { return n != "one" }, GCOptions{}); f.Layers != 1 || f.Bytes > 1<<16 {
		t.Errorf("a layer whose file has other names: %+v", f)
	}
	if f := collect(t, s, nothingKept, GCOptions{}); f.Layers != 1 || f.Wheels != 1 || f.Bytes < 1<<20 || f.Bytes > 3<<19 {
		t.Errorf("all names of the file: %+v", f)
	}
}

// T-33: whoever waits for a collection that does not get on can be told to end.
func TestWaitForGCEndsWithContext(t *testing.T) {
	s := open(t, Options{})
	d := put(t, s, "x")
	s.Close()
	gc, err := lock(context.Background(), s.Path(Locks, "gc"), os.O_RDWR|os.O_CREATE, syscall.LOCK_EX, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer gc.Close()
	for name, f := range map[string]func(ctx context.Context) error{
		"find a blob":  func(ctx context.Context) error { s.HasBlob(ctx, d, 1); return ctx.Err() },
		"find a layer": func(ctx context.Context) error { s.Layer(ctx, "abc"); return ctx.Err() },
		"open a blob":  func(ctx context.Context) error { s.OpenBlob(ctx, d); return ctx.Err() },
		"write a blob": func(ctx context.Context) error { _, err := s.NewBlob(ctx, DigestOf([]byte("y")), 1); return err },
		"make a layer": func(ctx context.Context) error {
			_, _, err := s.MakeLayer(ctx, "abc", func(string) error { return nil })
			return err
		},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(20*time.Millisecond, cancel)
		done := make(chan error, 1)
		go func() { done <- f(ctx) }()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: it goes on waiting", name)
		}
	}
}

// Removing what a dead process left ends when it is told to; the next one goes on, and a collection removes all of it,
// unless it is told to end.
func TestLeftoversAreRemovedInParts(t *testing.T) {
	s := open(t, Options{})
	count := func() (n int) {
		filepath.WalkDir(s.Path(Temp), func(string, os.DirEntry, error) error { n++; return nil })
		return n - 1
	}
	for _, dir := range []string{"gc-1", "layer-2"} {
		if err := os.MkdirAll(s.Path(Temp, dir, "fs"), 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			if err := os.WriteFile(s.Path(Temp, dir, "fs", strconv.Itoa(i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := count()
	asked := 0
	s.removeStale(func() bool { asked++; return asked < 6 })
	left := count()
	if left == 0 || left == all {
		t.Errorf("%d of %d are left", left, all)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.GC(ctx, nothingKept, GCOptions{}); !errors.Is(err, context.Canceled) || count() != left {
		t.Errorf("told to end: %v, %d are left of %d", err, count(), left)
	}
	if _, err := s.GC(context.Background(), nothingKept, GCOptions{DryRun: true}); err != nil || count() != left {
		t.Errorf("a dry run: %v, %d are left of %d", err, count(), left)
	}
	if _, err := s.GC(context.Background(), nothingKept, GCOptions{}); err != nil || count() != 0 {
		t.Errorf("%v, %d are left", err, count())
	}
}
