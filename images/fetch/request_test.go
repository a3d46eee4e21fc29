package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/images/store"
)

func TestTemporaryAnswers(t *testing.T) {
	data := content(1000)
	for _, code := range []int{408, 429, 500, 502, 503, 504} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			s := newServer(t, data)
			s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n <= 2 {
					w.Header().Set("Retry-After", "0")
					w.WriteHeader(code)
				}
				return n <= 2
			}
			if err := s.blob(t, testClient(Options{}), testStore(t)); err != nil {
				t.Fatal(err)
			}
			n := s.count()
			s.handle = func(m int, w http.ResponseWriter, r *http.Request) bool {
				if m == n+1 {
					w.WriteHeader(code)
				}
				return m == n+1
			}
			if b, _, err := testClient(Options{}).Get(t.Context(), s.src()[0], 1000); err != nil || len(b) != 1000 {
				t.Fatalf("Get: %v", err)
			}
		})
	}
}

func TestPermanentAnswersAreAskedForOnce(t *testing.T) {
	for _, code := range []int{400, 401, 403, 404, 410, 451} {
		s := newServer(t, content(10))
		s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(code); return true }
		if err := s.blob(t, testClient(Options{}), testStore(t)); err == nil {
			t.Errorf("%d: no error", code)
		}
		if s.count() != 1 {
			t.Errorf("%d: %d requests", code, s.count())
		}
	}
}

func TestEndlessThrottlingEnds(t *testing.T) {
	s := newServer(t, content(10))
	s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(429)
		return true
	}
	var status *StatusError
	if err := s.blob(t, testClient(Options{}), testStore(t)); !errors.As(err, &status) || status.Code != 429 {
		t.Errorf("got %v", err)
	}
	s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(429)
		return true
	}
	if err := s.blob(t, testClient(Options{Budget: 10 * time.Second}), testStore(t)); !errors.As(err, &status) {
		t.Errorf("over budget: got %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": -1, "0": 0, "7": 7 * time.Second, "-5": 0, "soon": -1, "999999999": time.Hour,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
	} {
		h := http.Header{}
		h.Set("Retry-After", in)
		if got := retryAfter(h, now); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
	if d := pause(1, &StatusError{Code: 429, after: time.Hour}); d != maxAfter {
		t.Errorf("pause %v", d)
	}
}

func TestStall(t *testing.T) {
	data := content(1 << 20)
	for _, at := range []int{-1, 0, len(data) / 2, len(data)} { // -1: not even headers
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			s := newServer(t, data)
			release := make(chan bool)
			defer close(release)
			s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n > 1 {
					return false
				}
				if at >= 0 {
					if at < len(data) {
						w.Header().Set("Content-Length", fmt.Sprint(len(data)))
					} else {
						http.NewResponseController(w).Flush() // all bytes, but no end
					}
					w.Write(data[:at])
					http.NewResponseController(w).Flush()
				}
				<-release
				return true
			}
			if err := s.blob(t, testClient(Options{Stall: 200 * time.Millisecond}), testStore(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
	s := newServer(t, data)
	release := make(chan bool)
	defer close(release)
	s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool { <-release; return true }
	_, _, err := testClient(Options{Stall: 50 * time.Millisecond, Budget: time.Second}).Get(t.Context(), s.src()[0], 10)
	if !errors.Is(err, ErrStalled) {
		t.Errorf("Get: %v", err)
	}
}

// T-33: a server that sends a byte now and then is one that stalls, also while what we have is read over.
func TestTrickle(t *testing.T) {
	data := content(1 << 20)
	for _, resumed := range []bool{false, true} {
		s, st := newServer(t, data), testStore(t)
		s.noRange = true
		d := store.DigestOf(data)
		if resumed {
			w, err := st.NewBlob(t.Context(), d, int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			w.Write(data[:len(data)/2])
			w.Close()
		}
		s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n > 1 {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			for i := range data {
				if _, err := w.Write(data[i : i+1]); err != nil {
					break
				}
				http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return true
				case <-time.After(10 * time.Millisecond):
				}
			}
			return true
		}
		if err := s.blob(t, testClient(Options{Stall: 300 * time.Millisecond}), st); err != nil {
			t.Fatal(err)
		}
		if s.count() != 2 {
			t.Errorf("resumed %v: %d requests", resumed, s.count())
		}
	}
}

// T-34: more headers than anybody needs are refused, not taken in.
func TestHugeHeaders(t *testing.T) {
	s := newServer(t, content(1000))
	s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
		for i := range 200 {
			w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("h", 10<<10))
		}
		return false
	}
	if err := s.blob(t, testClient(Options{Budget: time.Millisecond}), testStore(t)); err == nil {
		t.Error("2 MiB of headers were taken")
	}
}

func TestRedirects(t *testing.T) {
	data := content(1000)
	target := newServer(t, data)
	s := newServer(t, data)
	var to string
	s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/here") {
			return false
		}
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		return true
	}
	secret := http.Header{"Authorization": {"Bearer s"}, "Cookie": {"c=1"}, "Private-Token": {"t"}}
	get := func() error {
		_, _, err := testClient(Options{}).Get(t.Context(), Source{URL: s.URL + "/file", Header: secret, Accept: "x/y"}, 2000)
		return err
	}
	to = target.URL + "/other"
	if err := get(); err != nil {
		t.Fatal(err)
	}
	for k := range secret {
		if v := target.requests[0].Header.Get(k); v != "" {
			t.Errorf("%s was sent to another port: %s", k, v)
		}
	}
	if target.requests[0].Header.Get("Accept") != "x/y" {
		t.Error("Accept got lost")
	}
	to = "/here"
	if err := get(); err != nil {
		t.Fatal(err)
	}
	if last := s.requests[len(s.requests)-1]; last.Header.Get("Authorization") != "Bearer s" {
		t.Error("the same origin did not get its credentials")
	}
	for _, bad := range []string{"/file", "file:///etc/passwd", "ftp://127.0.0.1/", "http://169.254.169.254/latest", "", "http://[fe80::1]/"} {
		to = bad
		n := s.count()
		var refused *refusedError
		if err := get(); !errors.As(err, &refused) {
			t.Errorf("redirect to %q: %v", bad, err)
		}
		if s.count()-n > maxRedirects+1 {
			t.Errorf("redirect to %q: %d requests", bad, s.count()-n)
		}
	}
}

func TestAllowed(t *testing.T) {
	cases := []struct {
		origin, to string
		hop        int
		http, ok   bool
	}{
		{"https://a.example/", "https://a.example/", 0, false, true},
		{"http://a.example/", "http://a.example/", 0, false, false},
		{"http://a.example/", "http://a.example/", 0, true, true},
		{"http://127.0.0.1:5/", "http://127.0.0.1:5/", 0, false, true},
		{"http://[::1]:5/", "http://[::1]:5/", 0, false, true},
		{"http://localhost/", "http://localhost/", 0, false, true},
		{"https://a.example/", "http://a.example/", 1, false, false},
		{"https://a.example/", "https://127.0.0.1/", 1, false, false},
		{"https://a.example/", "https://0.0.0.0/", 1, false, false},
		{"https://a.example/", "https://[::ffff:127.0.0.1]/", 1, false, false},
		{"https://a.example/", "https://169.254.169.254/", 1, true, false},
		{"https://a.example/", "https://10.0.0.1/", 1, false, true},
		{"gopher://a.example/", "gopher://a.example/", 0, true, false},
	}
	for _, c := range cases {
		o, _ := url.Parse(c.origin)
		u, _ := url.Parse(c.to)
		if err := New(Options{AllowHTTP: c.http}).allowed(o, u, c.hop); (err == nil) != c.ok {
			t.Errorf("%s → %s: %v", c.origin, c.to, err)
		}
	}
	for a, want := range map[string]bool{"127.9.9.9": true, "::1": true, "169.254.1.1": true, "fe80::1": true, "fd00:ec2::254": true, "10.1.1.1": false, "::": true} {
		if isLocal(netip.MustParseAddr(a)) != want {
			t.Errorf("%s", a)
		}
	}
}

// TestRedirectByNameToThisMachine: the address behind a name is looked at when it is dialled.
func TestRedirectByNameToThisMachine(t *testing.T) {
	s := newServer(t, content(10))
	u, _ := url.Parse(s.URL)
	origin, _ := url.Parse("https://public.example/")
	c := testClient(Options{}) // "allowed" is not asked: it sees the form only
	_, err := c.rt.RoundTrip(c.request(t.Context(), "GET", Source{}, origin, u, ""))
	var refused *refusedError
	if err == nil || !errors.As(err, &refused) {
		t.Errorf("got %v", err)
	}
}

func TestGetIsBounded(t *testing.T) {
	s := newServer(t, content(1000))
	var size *SizeError
	if _, _, err := testClient(Options{}).Get(t.Context(), s.src()[0], 999); !errors.As(err, &size) {
		t.Errorf("got %v", err)
	}
	s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("X-Long", strings.Repeat("a", 2<<20))
		return false
	}
	c := testClient(Options{Budget: time.Second})
	if _, _, err := c.Get(t.Context(), s.src()[0], 1000); err == nil {
		t.Error("2 MiB of headers were read")
	}
}

func TestUserInURLAndNoSecretsInErrors(t *testing.T) {
	s := newServer(t, content(10))
	u, _ := url.Parse(s.URL)
	u.User = url.UserPassword("me", "pass-word")
	u.RawQuery = "X-Signature=sig-nature"
	if _, _, err := testClient(Options{}).Get(t.Context(), Source{URL: u.String()}, 100); err != nil {
		t.Fatal(err)
	}
	if user, pass, _ := s.requests[0].BasicAuth(); user != "me" || pass != "pass-word" {
		t.Errorf("got %q %q", user, pass)
	}
	s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(403); return true }
	_, _, err := testClient(Options{}).Get(t.Context(), Source{URL: u.String()}, 100)
	if err == nil || strings.Contains(err.Error(), "pass-word") || strings.Contains(err.Error(), "sig-nature") {
		t.Errorf("got %v", err)
	}
	s.Close()
	_, _, err = testClient(Options{}).Get(t.Context(), Source{URL: u.String()}, 100)
	if err == nil || strings.Contains(err.Error(), "pass-word") || strings.Contains(err.Error(), "sig-nature") {
		t.Errorf("got %v", err)
	}
}

func TestUnknownAuthority(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	s.Config.ErrorLog = nil
	_, _, err := testClient(Options{}).Get(t.Context(), Source{URL: s.URL}, 10)
	if err == nil || !isCertificate(err) {
		t.Errorf("got %v", err)
	}
}

func TestRetryingTransport(t *testing.T) {
	s := newServer(t, content(10))
	s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n <= 2 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(503)
		}
		return n <= 2
	}
	c := testClient(Options{})
	resp, err := (&http.Client{Transport: c.Retrying(NewTransport())}).Get(s.URL)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	resp.Body.Close()
}

// T-31: a server that asks for patience, in seconds or by a date, is asked again no earlier than it said.
func TestWaitsAsTold(t *testing.T) {
	for name, after := range map[string]func(now time.Time) (header string, least time.Duration){
		"seconds": func(time.Time) (string, time.Duration) { return "1", time.Second },
		"a date": func(now time.Time) (string, time.Duration) { // dates have whole seconds
			at := now.Add(2 * time.Second).Truncate(time.Second)
			return at.UTC().Format(http.TimeFormat), at.Sub(now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, content(1000))
			var first time.Time
			var least, waited time.Duration
			s.handle = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n > 1 {
					waited = time.Since(first)
					return false
				}
				var header string
				first = time.Now()
				header, least = after(first)
				w.Header().Set("Retry-After", header)
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			}
			if err := s.blob(t, testClient(Options{}), testStore(t)); err != nil {
				t.Fatal(err)
			}
			if least <= 0 || waited < least-20*time.Millisecond { // clocks of two kinds
				t.Errorf("waited %s, told to wait %s", waited, least)
			}
		})
	}
}
