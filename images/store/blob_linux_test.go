package store

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// T-1: the contract of a blob store.

func begin(t *testing.T, s *Store, d Digest, size int64) *BlobWriter {
	t.Helper()
	w, err := s.NewBlob(context.Background(), d, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func TestWriterResumes(t *testing.T) {
	const text = "one two three"
	d := DigestOf([]byte(text))
	for name, size := range map[string]int64{"known size": int64(len(text)), "unknown size": -1} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{})
			w := begin(t, s, d, size)
			write(t, w, text[:4])
			w.Close()
			if s.HasBlob(context.Background(), d, -1) {
				t.Fatal("half a blob is visible")
			}
			w = begin(t, s, d, size)
			if w.Offset() != 4 {
				t.Fatalf("resumes at %d", w.Offset())
			}
			b := make([]byte, 4)
			if _, err := w.ReadAt(b, 0); err != nil || string(b) != text[:4] {
				t.Errorf("what is there reads %q, %v", b, err)
			}
			write(t, w, text[4:])
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(); err != nil {
				t.Errorf("a second commit: %v", err)
			}
			f, err := s.OpenBlob(context.Background(), d)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if b, err := io.ReadAll(f); err != nil || string(b) != text {
				t.Errorf("%q, %v", b, err)
			}
			if fi, _ := f.Stat(); fi.Mode() != 0o444 {
				t.Errorf("mode %v", fi.Mode())
			}
			if _, err := s.NewBlob(context.Background(), d, size); !errors.Is(err, ErrExists) {
				t.Errorf("once more: %v", err)
			}
			if l := left(t, s); len(l) > 0 {
				t.Errorf("left: %v", l)
			}
		})
	}
}

func TestWriterStartsOver(t *testing.T) {
	const text = "one two three"
	d := DigestOf([]byte(text))
	s := open(t, Options{})
	// A rest that is longer than the blob, or of other content, is no beginning of it.
	for _, rest := range []string{"far too long to be a beginning of it", "garbage"} {
		if err := os.WriteFile(s.Path(Partial, d.Hex()), []byte(rest), 0o644); err != nil {
			t.Fatal(err)
		}
		w := begin(t, s, d, int64(len(text)))
		if int(w.Offset()) > len(text) {
			t.Fatalf("resumes at %d", w.Offset())
		}
		if w.Offset() > 0 {
			write(t, w, text[w.Offset():])
			var de *DigestError
			if err := w.Commit(); !errors.As(err, &de) || s.HasBlob(context.Background(), d, -1) {
				t.Fatalf("garbage was committed: %v", err)
			}
			w = begin(t, s, d, int64(len(text)))
			if w.Offset() != 0 {
				t.Fatalf("the garbage was kept: %d", w.Offset())
			}
		}
		write(t, w, "wrong")
		if err := w.Reset(); err != nil || w.Offset() != 0 {
			t.Fatalf("reset: %v, at %d", err, w.Offset())
		}
		write(t, w, text)
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := s.RemoveBlob(d); err != nil || s.HasBlob(context.Background(), d, -1) {
			t.Fatalf("removed: %v", err)
		}
	}
}

func TestWrongContent(t *testing.T) {
	const text = "one two three"
	d := DigestOf([]byte(text))
	s := open(t, Options{})
	w := begin(t, s, d, int64(len(text)))
	write(t, w, text[:5])
	var se *SizeError
	if err := w.Commit(); !errors.As(err, &se) {
		t.Errorf("too short: %v", err)
	}
	if _, err := io.WriteString(w, text); !errors.As(err, &se) {
		t.Errorf("too long: %v", err)
	}
	write(t, w, text[5:]) // the state is still sane
	if err := w.Commit(); err != nil {
		t.Error(err)
	}
	if _, _, err := s.PutBlob(context.Background(), strings.NewReader("x"), d); err == nil {
		t.Error("PutBlob believed a wrong digest")
	}
}

func TestEmptyBlob(t *testing.T) {
	s := open(t, Options{})
	d := put(t, s, "")
	if d != emptyDigest || !s.HasBlob(context.Background(), d, 0) || !s.HasBlob(context.Background(), d, -1) {
		t.Errorf("%s is not there", d)
	}
}

// T-27: an object of the wrong size under a final name is a miss, and goes.
func TestDamagedBlobIsAMiss(t *testing.T) {
	s := open(t, Options{})
	for name, damage := range map[string]func(path string) error{
		"empty":  func(p string) error { return os.WriteFile(p, nil, 0o644) },
		"short":  func(p string) error { return os.WriteFile(p, []byte("sho"), 0o644) },
		"link":   func(p string) error { return os.Symlink("/etc/passwd", p) },
		"fifo":   func(p string) error { return syscall.Mkfifo(p, 0o644) },
		"folder": func(p string) error { return os.Mkdir(p, 0o755) },
	} {
		d := put(t, s, "short of it "+name)
		path, err := s.BlobPath(context.Background(), d)
		if err != nil {
			t.Fatal(err)
		}
		os.Remove(path)
		if err := damage(path); err != nil {
			t.Fatal(err)
		}
		if s.HasBlob(context.Background(), d, int64(len("short of it "+name))) {
			t.Errorf("%s: it is believed", name)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: it is still there", name)
		}
		put(t, s, "short of it "+name)
	}
}

// T-71: no path is made of what is no digest.
func TestDigests(t *testing.T) {
	s := open(t, Options{})
	good := string(DigestOf(nil))
	for _, bad := range []string{"", "sha256:", "sha256:../../x", good[:70], good + "0", strings.ToUpper(good), "sha512:" + good[7:], good[:66] + "/../x", "sha256:" + strings.Repeat("/", 64)} {
		if _, err := ParseDigest(bad); err == nil {
			t.Errorf("parsed %q", bad)
		}
		if _, err := s.NewBlob(context.Background(), Digest(bad), 1); err == nil {
			t.Errorf("writes %q", bad)
		}
		if _, err := s.OpenBlob(context.Background(), Digest(bad)); err == nil || s.HasBlob(context.Background(), Digest(bad), -1) || s.RemoveBlob(Digest(bad)) == nil {
			t.Errorf("uses %q", bad)
		}
	}
	if d, err := ParseDigest(good); err != nil || string(d) != good {
		t.Errorf("%s, %v", d, err)
	}
}

// A blob that another process writes is waited for; what it left or finished is used.
func TestBlobOfAnotherProcess(t *testing.T) {
	waits := make(chan string, 10)
	s := open(t, Options{Waited: func(what string) { waits <- what }})
	text := strings.Repeat("text", 100)
	d := DigestOf([]byte(text))
	c, out, _ := start(t, "blob", job{Dir: s.Dir(), Text: text}, false, nil)
	if l, err := out.ReadString('\n'); err != nil || l != "begun\n" {
		t.Fatalf("%q, %v", l, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err := s.NewBlob(ctx, d, -1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("while another writes: %v", err)
	}
	<-waits
	got := make(chan *BlobWriter)
	go func() {
		w, err := s.NewBlob(context.Background(), d, -1)
		if err != nil {
			t.Error(err)
		}
		got <- w
	}()
	<-waits
	c.Process.Kill()
	c.Wait()
	w := <-got
	if w == nil {
		t.FailNow()
	}
	if w.Offset() != int64(len(text)/2) {
		t.Errorf("what the killed one wrote is not resumed: %d", w.Offset())
	}
	// T-6: it is finished while somebody else waits.
	go func() {
		_, err := s.NewBlob(context.Background(), d, -1)
		if !errors.Is(err, ErrExists) {
			t.Errorf("after it was finished: %v", err)
		}
		got <- nil
	}()
	<-waits
	write(t, w, text[len(text)/2:])
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	<-got
	if l := left(t, s); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}
