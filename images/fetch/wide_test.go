package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const smallPart = 200_000

// smallWide is content with little waiting: a busy machine makes everybody wait for other things, too.
func smallWide() *Wide { return &Wide{make(chan struct{}, 1), smallPart, smallPart, 0.05, idle} }

func idle() float64 { return 0 }

// slowly answers with a pause before each piece: what a connection brings is bounded by the server.
func slowly(w http.ResponseWriter, r *http.Request, data []byte) {
	http.ServeContent(&pausing{w}, r, "", time.Time{}, bytes.NewReader(data))
}

type pausing struct{ http.ResponseWriter }

func (p *pausing) Write(b []byte) (int, error) {
	for n := 0; n < len(b); n += 16 << 10 {
		time.Sleep(2 * time.Millisecond)
		if _, err := p.ResponseWriter.Write(b[n:min(n+16<<10, len(b))]); err != nil {
			return n, err
		}
		http.NewResponseController(p.ResponseWriter).Flush()
	}
	return len(b), nil
}

func (s *server) ranges() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if h := r.Header.Get("Range"); h != "" && !strings.HasSuffix(h, "-") {
			n++
		}
	}
	return n
}

func TestWide(t *testing.T) {
	data := content(22*smallPart + 12345)
	s := newServer(t, data)
	var at, most atomic.Int64
	s.handle = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		now := at.Add(1)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		slowly(w, r, data)
		at.Add(-1)
		return true
	}
	w := smallWide()
	for _, offset := range []int64{0, 1_000_001} {
		b := testClient(Options{}).OpenWide(t.Context(), Request{Name: "file", Sources: s.src(), Size: int64(len(data)), Offset: offset}, w)
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, data[offset:]) {
			t.Fatalf("from %d: %d bytes, %v", offset, len(got), err)
		}
		if !b.Joined() || s.ranges() < 5 || most.Load() < 2 {
			t.Errorf("joined %v, %d parts, at most %d at once", b.Joined(), s.ranges(), most.Load())
		}
		b.Close()
	}
	if len(w.one) != 0 {
		t.Error("it is held after the end")
	}
}

// Where the reader is what takes the time, the processors are, or somebody else has several connections, one is enough.
func TestWideIsNotNeeded(t *testing.T) {
	data := content(20 * smallPart)
	s := newServer(t, data)
	b := testClient(Options{}).OpenWide(t.Context(), Request{Name: "file", Sources: s.src(), Size: int64(len(data))}, &Wide{make(chan struct{}, 1), smallPart, smallPart, wideWaited, idle})
	got, err := io.ReadAll(&late{r: b})
	if err != nil || !bytes.Equal(got, data) || s.ranges() > 0 {
		t.Errorf("slow reader: %d bytes, %v, %d parts", len(got), err, s.ranges())
	}
	b.Close()
	s.handle = func(_ int, w http.ResponseWriter, r *http.Request) bool { slowly(w, r, data); return true }
	w := smallWide()
	w.one <- struct{}{}
	b = testClient(Options{}).OpenWide(t.Context(), Request{Name: "file", Sources: s.src(), Size: int64(len(data))}, w)
	got, err = io.ReadAll(b)
	if err != nil || !bytes.Equal(got, data) || s.ranges() > 0 {
		t.Errorf("held by another: %d bytes, %v, %d parts", len(got), err, s.ranges())
	}
	b.Close()
	if len(w.one) != 1 {
		t.Error("it gave back what it did not hold")
	}
	used := 0.0
	w = smallWide()
	w.busy = func() float64 { used += 3600; return used }
	b = testClient(Options{}).OpenWide(t.Context(), Request{Name: "file", Sources: s.src(), Size: int64(len(data))}, w)
	defer b.Close()
	got, err = io.ReadAll(b)
	if err != nil || !bytes.Equal(got, data) || s.ranges() > 0 {
		t.Errorf("busy with other things: %d bytes, %v, %d parts", len(got), err, s.ranges())
	}
}

func TestProcessorTime(t *testing.T) {
	at := processorTime()
	for begun := time.Now(); processorTime() == at; {
		if time.Since(begun) > time.Minute {
			t.Fatal("a minute of work used no processor time")
		}
	}
}

// late is a reader that takes its time.
type late struct {
	r io.Reader
	n int
}

func (l *late) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.n += n; l.n > 32<<10 {
		l.n = 0
		time.Sleep(10 * time.Millisecond)
	}
	return n, err
}

// A server that has no ranges, or fails in one of them, costs a connection and nothing else.
func TestWideGoesOnWithOne(t *testing.T) {
	data := content(20 * smallPart)
	for name, part := range map[string]func(n int64, w http.ResponseWriter, r *http.Request){
		"the whole file": func(_ int64, w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Range")
			slowly(w, r, data)
		},
		"refused": func(_ int64, w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"the third is refused": func(n int64, w http.ResponseWriter, r *http.Request) {
			if n == 3 {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			slowly(w, r, data)
		},
		"more than asked for": func(_ int64, w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Range", strings.Split(r.Header.Get("Range"), "-")[0]+"-")
			slowly(w, r, data)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, data)
			var parts atomic.Int64
			s.handle = func(_ int, w http.ResponseWriter, r *http.Request) bool {
				if h := r.Header.Get("Range"); h != "" && !strings.HasSuffix(h, "-") {
					part(parts.Add(1), w, r)
				} else {
					slowly(w, r, data)
				}
				return true
			}
			w := smallWide()
			b := testClient(Options{}).OpenWide(t.Context(), Request{Name: "file", Sources: s.src(), Size: int64(len(data))}, w)
			defer b.Close()
			got, err := io.ReadAll(b)
			if err != nil || !bytes.Equal(got, data) || parts.Load() == 0 {
				t.Errorf("%d bytes, %v, %d parts", len(got), err, parts.Load())
			}
			if len(w.one) != 0 {
				t.Error("it is held")
			}
		})
	}
}

// The end of the context ends it at once, wherever it waits.
func TestWideEndsWhenTold(t *testing.T) {
	data := content(24 * smallPart)
	s := newServer(t, data)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	defer close(release)
	s.handle = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if h := r.Header.Get("Range"); h != "" && !strings.HasSuffix(h, "-") {
			time.AfterFunc(50*time.Millisecond, cancel)
			<-release
			return true
		}
		slowly(w, r, data)
		return true
	}
	w := smallWide()
	b := testClient(Options{Stall: time.Hour}).OpenWide(ctx, Request{Name: "file", Sources: s.src(), Size: int64(len(data))}, w)
	if _, err := io.ReadAll(b); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	b.Close()
	if len(w.one) != 0 {
		t.Error("it is held")
	}
}
