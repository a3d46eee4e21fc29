package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

const scenarioOld = "0000aaaa"

// scenario does one of everything that writes. It can be done again after any of it was done.
func scenario(s *Store) error {
	ctx := context.Background()
	text := strings.Repeat("blob ", 1000)
	if err := putInParts(s, text); err != nil {
		return err
	}
	config, _, err := s.PutBlob(context.Background(), strings.NewReader("config"), "")
	if err != nil {
		return err
	}
	for _, name := range []string{scenarioOld, "11112222"} {
		_, _, err = s.MakeLayer(ctx, name, func(dir string) error {
			if err := os.WriteFile(dir+"/fs/file", []byte("of "+name), 0o644); err != nil {
				return err
			}
			return os.Mkdir(dir+"/fs/closed", 0)
		})
		if err != nil {
			return err
		}
	}
	if _, _, err := s.MakeWheel(ctx, "33334444", func(dir string) error { return os.WriteFile(dir+"/w", []byte("wheel"), 0o444) }); err != nil {
		return err
	}
	if err := s.SetDiffID("11112222", config); err != nil {
		return err
	}
	if err := s.PutImage(ImageRecord{Ref: "name:tag", Manifest: config, Config: config, Layers: []string{"11112222"}}); err != nil {
		return err
	}
	_, err = s.GC(ctx, func(k Kind, name string) bool { return name != scenarioOld }, GCOptions{})
	return err
}

func putInParts(s *Store, text string) error {
	w, err := s.NewBlob(context.Background(), DigestOf([]byte(text)), int64(len(text)))
	if errors.Is(err, ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	for rest := text[w.Offset():]; rest != ""; {
		n := min(1500, len(rest))
		if _, err := io.WriteString(w, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return w.Commit()
}

// checkLayer finds a layer that is not what scenario makes.
func checkLayer(_ context.Context, l Layer) error {
	b, err := os.ReadFile(l.FS + "/file")
	if err != nil || string(b) != "of "+l.Name {
		return fmt.Errorf("%q, %w", b, err)
	}
	if _, err := os.Lstat(l.FS + "/closed"); err != nil {
		return err
	}
	return nil
}

// checkStore is the invariant: what has a final name is complete.
func checkStore(t *testing.T, dir, when string) {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	defer s.Close()
	damage, err := s.Verify(context.Background(), VerifyOptions{Layer: checkLayer})
	if err != nil || len(damage) > 0 {
		t.Errorf("%s: damage %v, error %v", when, damage, err)
	}
	if w, ok := s.Wheel(context.Background(), "33334444"); ok {
		if b, err := os.ReadFile(w + "/w"); err != nil || string(b) != "wheel" {
			t.Errorf("%s: the wheel holds %q, %v", when, b, err)
		}
	}
	if _, err := s.Images(); err != nil {
		t.Errorf("%s: %v", when, err)
	}
}

// checkDone is what must hold after a scenario that worked: all there, and no litter.
func checkDone(t *testing.T, dir, when string) {
	t.Helper()
	checkStore(t, dir, when)
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if l := left(t, s); len(l) > 0 {
		t.Errorf("%s: left: %v", when, l)
	}
	if _, ok := s.Layer(context.Background(), scenarioOld); ok {
		t.Errorf("%s: the old layer was not collected", when)
	}
	if l, ok := s.Layer(context.Background(), "11112222"); !ok || l.DiffID == "" {
		t.Errorf("%s: the layer is missing or has no diffID: %+v", when, l)
	}
	if images, err := s.Images(); err != nil || len(images) != 1 {
		t.Errorf("%s: images %v, %v", when, images, err)
	}
}

// T-19, T-20, T-78: every single write fails once, in each way, and then for good.
func TestEachWriteFails(t *testing.T) {
	total := 0
	counting, err := Open(t.TempDir()+"/s", Options{Faults: func(string, string) error { total++; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := scenario(counting); err != nil {
		t.Fatal(err)
	}
	counting.Close()
	if total < 40 {
		t.Fatalf("only %d writes: the hook is not where they are", total)
	}
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EINTR} {
		for _, forGood := range []bool{false, true} {
			for n := 1; n <= total; n++ {
				failWrite(t, errno, n, forGood)
			}
		}
	}
}

func failWrite(t *testing.T, errno syscall.Errno, n int, forGood bool) {
	dir := memDir(t) + "/s"
	seen, site := 0, ""
	faults := func(op, path string) error {
		if seen++; seen == n || seen > n && forGood {
			if site == "" {
				site = op + " " + path
			}
			return errno
		}
		return nil
	}
	var when string
	s, err := Open(dir, Options{Faults: faults})
	if err == nil {
		err = scenario(s)
		s.Close()
	}
	when = fmt.Sprintf("write %d (%s) fails with %v, for good %v", n, strings.ReplaceAll(site, dir, ""), errno, forGood)
	var se *SpaceError
	switch {
	case err == nil: // a step whose failure may be passed over
		if forGood {
			t.Errorf("%s: nobody noticed", when)
		}
	case !errors.Is(err, errno):
		t.Errorf("%s: %v", when, err)
	case errors.As(err, &se) != (errno == syscall.ENOSPC || errno == syscall.EDQUOT) || se != nil && se.Quota != (errno == syscall.EDQUOT):
		t.Errorf("%s: %v", when, err)
	}
	checkStore(t, dir, when)
	s, err = Open(dir, Options{})
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	if err := scenario(s); err != nil {
		t.Errorf("%s: again: %v", when, err)
	}
	s.Close()
	checkDone(t, dir, when+", then again")
}

// T-15, T-80: a process is killed at every single write.
func TestKilledAtEachWrite(t *testing.T) {
	for n := 1; ; n++ {
		dir := memDir(t) + "/s"
		_, err := call(t, "scenario", job{Dir: dir, N: n}, false, nil)
		when := fmt.Sprintf("killed at write %d", n)
		if err == nil {
			if n < 40 {
				t.Fatalf("the scenario ended before write %d", n)
			}
			return
		}
		if !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%s: %v", when, err)
		}
		checkStore(t, dir, when)
		if _, err := call(t, "scenario", job{Dir: dir}, false, nil); err != nil {
			t.Errorf("%s: again: %v", when, err)
		}
		checkDone(t, dir, when+", then again")
	}
}

// T-80, T-14: killed at any time, while others work on the same store.
func TestKilledAtAnyTime(t *testing.T) {
	dir := memDir(t) + "/s"
	for i := range 60 {
		a, outA, _ := start(t, "scenario", job{Dir: dir}, false, nil)
		b, outB, errB := start(t, "scenario", job{Dir: dir}, false, nil)
		time.Sleep(time.Duration(i) * 700 * time.Microsecond)
		a.Process.Kill()
		io.Copy(io.Discard, outA)
		io.Copy(io.Discard, outB)
		a.Wait()
		if err := b.Wait(); err != nil {
			t.Fatalf("round %d: the process that was not killed: %v: %s", i, err, errB)
		}
		if i%10 == 9 {
			// What the killed one had leased when the other collected is left for the next.
			if _, err := call(t, "scenario", job{Dir: dir}, false, nil); err != nil {
				t.Fatal(err)
			}
			checkDone(t, dir, fmt.Sprintf("round %d", i))
			dir = memDir(t) + "/s"
		}
	}
}

func TestSpaceErrors(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		want  string
	}{{syscall.ENOSPC, "write /p: no space left on device"}, {syscall.EDQUOT, "write /p: disk quota exceeded"}} {
		err := Space(&os.PathError{Op: "write", Path: "/p", Err: c.errno}, "write", "/p")
		var se *SpaceError
		if !errors.As(err, &se) || err.Error() != c.want || !errors.Is(err, c.errno) || se.Hint() == "" {
			t.Errorf("%v", err)
		}
		if again := Space(fmt.Errorf("outer: %w", err), "x", "/y"); !strings.HasPrefix(again.Error(), "outer: write /p") {
			t.Errorf("wrapped twice: %v", again)
		}
	}
	if err := Space(io.EOF, "x", "y"); err != io.EOF {
		t.Errorf("another error was changed: %v", err)
	}
}
