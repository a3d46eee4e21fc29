package fetch

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/images/store"
)

// server serves one file and can be told to fail. Its counters tell what it was asked for.
type server struct {
	*httptest.Server
	data []byte

	mu       sync.Mutex
	requests []*http.Request
	sent     atomic.Int64

	// handle, if set, may answer request number n (from 1); false = answer as usual.
	handle  func(n int, w http.ResponseWriter, r *http.Request) bool
	noRange bool
}

func content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

func newServer(t *testing.T, data []byte) *server {
	s := &server{data: data}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Clone(context.Background()))
	n := len(s.requests)
	s.mu.Unlock()
	if s.handle != nil && s.handle(n, w, r) {
		return
	}
	s.plain(w, r)
}

func (s *server) plain(w http.ResponseWriter, r *http.Request) {
	if s.noRange {
		r.Header.Del("Range")
	}
	http.ServeContent(&counting{w, &s.sent}, r, "", time.Time{}, bytes.NewReader(s.data))
}

type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// cut sends the headers of the whole rest and only n bytes of it, then ends the connection: with a
// reset, or in good order.
func (s *server) cut(w http.ResponseWriter, r *http.Request, n int, reset bool) {
	start := 0
	if h := r.Header.Get("Range"); h != "" && !s.noRange {
		start, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(h, "bytes="), "-"))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(s.data)-1, len(s.data)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(s.data)-start))
	if start > 0 {
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.WriteHeader(http.StatusOK)
	}
	end := min(start+n, len(s.data))
	w.Write(s.data[start:end])
	s.sent.Add(int64(end - start))
	http.NewResponseController(w).Flush()
	time.Sleep(20 * time.Millisecond) // what was sent arrives before the reset that would overtake it
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if reset {
		c.(*net.TCPConn).SetLinger(0)
	}
	c.Close()
}

func testClient(o Options) *Client {
	if o.Stall == 0 {
		o.Stall = 5 * time.Second
	}
	return New(o)
}

func testStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *server) src() []Source { return []Source{{URL: s.URL + "/file"}} }

// blob fetches the server's file and checks what is in the store afterwards.
func (s *server) blob(t *testing.T, c *Client, st *store.Store) error {
	t.Helper()
	d := store.DigestOf(s.data)
	err := c.Blob(t.Context(), st, d, int64(len(s.data)), s.src(), "file", nil)
	if err == nil && !st.HasBlob(t.Context(), d, int64(len(s.data))) {
		t.Fatal("no error and no blob")
	}
	if err != nil && st.HasBlob(t.Context(), d, -1) {
		t.Fatalf("error and a blob: %v", err)
	}
	return err
}
