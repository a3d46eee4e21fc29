package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/images/store"
)

func TestResume(t *testing.T) {
	data := content(1 << 20)
	for _, reset := range []bool{false, true} {
		for _, at := range []int{0, 1, len(data) / 2, len(data) - 1} {
			t.Run(fmt.Sprintf("cut at %d reset %v", at, reset), func(t *testing.T) {
				s := newServer(t, data)
				s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
					if n == 1 {
						s.cut(w, r, at, reset)
					}
					return n == 1
				}
				if err := s.blob(t, testClient(Options{}), testStore(t)); err != nil {
					t.Fatal(err)
				}
				if sent := s.sent.Load(); sent > int64(len(data))*11/10 {
					t.Errorf("sent %d bytes for %d", sent, len(data))
				}
				if s.count() != 2 {
					t.Errorf("%d requests", s.count())
				}
			})
		}
	}
}

// TestResumeAgainstOddServers is a cut connection and a server that then does something else than asked.
func TestResumeAgainstOddServers(t *testing.T) {
	data := content(300 << 10)
	answers := map[string]func(s *server, w http.ResponseWriter, r *http.Request){
		"range ignored": func(s *server, w http.ResponseWriter, r *http.Request) { r.Header.Del("Range"); s.plain(w, r) },
		"416": func(s *server, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		},
		"range from elsewhere": func(s *server, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(data)-1, len(data)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data)
		},
		"range of another total": func(s *server, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", len(data)/2, len(data)-1, len(data)+1))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data[len(data)/2:])
		},
		"range with a wrong header": func(s *server, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 153600-")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data[len(data)/2:])
		},
		"206 without a range": func(s *server, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data[len(data)/2:])
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, data)
			s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
				switch {
				case n == 1:
					s.cut(w, r, len(data)/2, false)
				case r.Header.Get("Range") != "":
					answer(s, w, r)
				default:
					return false
				}
				return true
			}
			if err := s.blob(t, testClient(Options{}), testStore(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestPartialOfAnEarlierRun(t *testing.T) {
	data := content(1 << 20)
	for _, good := range []bool{true, false} {
		t.Run(fmt.Sprint("good ", good), func(t *testing.T) {
			s, st := newServer(t, data), testStore(t)
			w, err := st.NewBlob(t.Context(), store.DigestOf(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			part := bytes.Clone(data[:700<<10])
			if !good {
				part[5]++
			}
			w.Write(part)
			w.Close()
			if err := s.blob(t, testClient(Options{}), st); err != nil {
				t.Fatal(err)
			}
			want := int64(len(data) - len(part))
			if !good {
				want += int64(len(data)) // found out at the end, then once more
			}
			if s.sent.Load() != want {
				t.Errorf("sent %d, want %d", s.sent.Load(), want)
			}
		})
	}
}

func TestCancelKeepsThePart(t *testing.T) {
	data := content(1 << 20)
	s, st := newServer(t, data), testStore(t)
	sentHalf, release := make(chan bool), make(chan bool)
	s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n > 1 {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:len(data)/2])
		http.NewResponseController(w).Flush()
		close(sentHalf)
		<-release
		return true
	}
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	report := func(verb, item string, done, total int64) {
		if done >= int64(len(data))/2 {
			cancel()
		}
	}
	begin := time.Now()
	d := store.DigestOf(data)
	err := testClient(Options{Stall: time.Minute}).Blob(ctx, st, d, int64(len(data)), s.src(), "file", report)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if e := time.Since(begin); e > 20*time.Second {
		t.Errorf("took %s", e)
	}
	if err := s.blob(t, testClient(Options{}), st); err != nil {
		t.Fatal(err)
	}
	if got := s.requests[1].Header.Get("Range"); got != fmt.Sprintf("bytes=%d-", len(data)/2) {
		t.Errorf("the second run asked for %q", got)
	}
}

func TestWrongContent(t *testing.T) {
	data := content(100 << 10)
	bad := bytes.Clone(data)
	bad[77]++
	longer := append(bytes.Clone(data), 1)
	chunked := func(b []byte) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			http.NewResponseController(w).Flush()
			w.Write(b)
		}
	}
	cases := map[string]struct {
		answer func(w http.ResponseWriter)
		want   any
	}{
		"flipped byte":         {func(w http.ResponseWriter) { w.Write(bad) }, new(*HashError)},
		"length too large":     {func(w http.ResponseWriter) { w.Write(longer) }, new(*SizeError)},
		"length too small":     {func(w http.ResponseWriter) { w.Write(data[:len(data)-1]) }, new(*SizeError)},
		"chunked and too long": {chunked(longer), new(*SizeError)},
		"a page to log in":     {func(w http.ResponseWriter) { io.WriteString(w, "<html>log in") }, new(*SizeError)},
		"endless": {func(w http.ResponseWriter) {
			http.NewResponseController(w).Flush()
			for {
				if _, err := w.Write(data); err != nil {
					return
				}
			}
		}, new(*SizeError)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, st := newServer(t, data), testStore(t)
			s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool { c.answer(w); return true }
			err := s.blob(t, testClient(Options{}), st)
			if err == nil || !errors.As(err, c.want) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), "file") {
				t.Errorf("the error does not name the file: %v", err)
			}
			if left, _ := os.ReadDir(st.Path(store.Partial)); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			s.handle = nil
			if err := s.blob(t, testClient(Options{}), st); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestChunkedWithoutLength(t *testing.T) {
	data := content(100 << 10)
	s := newServer(t, data)
	s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
		http.NewResponseController(w).Flush()
		w.Write(data)
		return true
	}
	st := testStore(t)
	if err := testClient(Options{}).Blob(t.Context(), st, store.DigestOf(data), -1, s.src(), "file", nil); err != nil {
		t.Fatal(err)
	}
}

func TestSeveralSources(t *testing.T) {
	data := content(64 << 10)
	bad := bytes.Clone(data)
	bad[0]++
	good, wrong := newServer(t, data), newServer(t, bad)
	missing := newServer(t, data)
	missing.handle = func(n int, w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true }
	forbidden := newServer(t, data)
	forbidden.handle = func(n int, w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(403); return true }
	gone := Source{URL: "http://127.0.0.1:1/file"}
	src := func(s *server) Source { return s.src()[0] }
	cases := map[string]struct {
		sources []Source
		want    any // type of the error
	}{
		"first is missing":    {[]Source{src(missing), src(good)}, nil},
		"first is not there":  {[]Source{gone, src(good)}, nil},
		"first is wrong":      {[]Source{src(wrong), src(good)}, nil},
		"second is wrong":     {[]Source{src(missing), src(wrong)}, new(*HashError)},
		"missing everywhere":  {[]Source{src(missing), src(missing)}, new(ErrNotFound)},
		"missing, forbidden":  {[]Source{src(forbidden), src(missing)}, new(*StatusError)},
		"no source at all":    {nil, new(ErrNotFound)},
		"neither web nor ftp": {[]Source{{URL: "ftp://127.0.0.1/x"}}, new(*refusedError)},
		"file":                {[]Source{{URL: "file:///etc/passwd"}}, new(*refusedError)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			st := testStore(t)
			err := testClient(Options{}).Blob(t.Context(), st, store.DigestOf(data), int64(len(data)), c.sources, "file", nil)
			if (c.want == nil) != (err == nil) || (err != nil && !errors.As(err, c.want)) {
				t.Fatalf("got %v (%T)", err, err)
			}
		})
	}
}

func TestBlobsInParallel(t *testing.T) {
	st := testStore(t)
	var jobs []Job
	var running, most atomic.Int64
	for i := range 12 {
		s := newServer(t, content(10000+i))
		s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if now := running.Add(1); now > most.Load() {
				most.Store(now)
			}
			time.Sleep(10 * time.Millisecond)
			running.Add(-1)
			return false
		}
		jobs = append(jobs, Job{fmt.Sprint(i), store.DigestOf(s.data), int64(len(s.data)), s.src()})
	}
	jobs = append(jobs, jobs[0]) // named twice, fetched once
	if err := testClient(Options{Jobs: 4}).Blobs(t.Context(), st, jobs, nil); err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if !st.HasBlob(t.Context(), j.Digest, j.Size) {
			t.Errorf("no %s", j.Name)
		}
	}
	if most.Load() < 2 || most.Load() > 4 {
		t.Errorf("%d at once", most.Load())
	}
	jobs = append(jobs, Job{"bad", store.DigestOf([]byte("x")), 1, []Source{{URL: jobs[0].Sources[0].URL}}})
	var size *SizeError
	if err := testClient(Options{}).Blobs(t.Context(), st, jobs, nil); !errors.As(err, &size) {
		t.Errorf("got %v", err)
	}
}

func TestChainIsAskedFirst(t *testing.T) {
	data := content(1000)
	shared := testStore(t)
	if _, _, err := shared.PutBlob(t.Context(), bytes.NewReader(data), ""); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.TempDir(), store.Options{Chain: []string{shared.Dir()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := testClient(Options{}).Blob(t.Context(), st, store.DigestOf(data), -1, nil, "file", nil); err != nil {
		t.Fatal(err)
	}
}

// TestSlowReader: a reader that comes back late finds its connection as it was.
func TestSlowReader(t *testing.T) {
	data := content(2 << 20)
	s := newServer(t, data)
	body := testClient(Options{Stall: 100 * time.Millisecond}).Open(t.Context(), Request{Name: "file", Sources: s.src(), Size: int64(len(data))})
	defer body.Close()
	buf := make([]byte, 1<<20)
	if _, err := io.ReadFull(body, buf); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if _, err := io.ReadFull(body, buf); err != nil || !bytes.Equal(buf, data[1<<20:]) {
		t.Fatal(err)
	}
	if s.count() != 1 {
		t.Errorf("%d requests", s.count())
	}
}

// downOnce is a way to a server that is restarted after its first answer.
type downOnce struct {
	http.RoundTripper
	n int
}

func (d *downOnce) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.n++; d.n > 1 && d.n < 2+maxDialTries+1 {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return d.RoundTripper.RoundTrip(r)
}

// A server that is restarted in the middle is waited for; one that was never there is not.
func TestServerThatIsRestarted(t *testing.T) {
	t.Parallel()
	data := content(2 * progressStep)
	s := newServer(t, data)
	s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n > 1 {
			return false
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Write(data[:progressStep+1])
		panic(http.ErrAbortHandler)
	}
	b := testClient(Options{Transport: &downOnce{RoundTripper: NewTransport()}}).Open(t.Context(), Request{Name: "file", Sources: s.src(), Size: int64(len(data))})
	defer b.Close()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	never := &downOnce{RoundTripper: NewTransport(), n: 1}
	b = testClient(Options{Transport: never}).Open(t.Context(), Request{Name: "file", Sources: s.src(), Size: int64(len(data))})
	defer b.Close()
	if _, err := io.ReadAll(b); err == nil || never.n != 1+maxDialTries {
		t.Errorf("never there: %v after %d tries", err, never.n-1)
	}
}
