package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/images/fetch"
)

// asker answers as a registry at https://registry.test that wants to know who asks, and as everybody else.
type asker struct {
	challenge string
	answer    []byte // of token servers
	secret    string

	mu       sync.Mutex
	requests int
	err      error // the first thing that must not be
}

func (a *asker) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests++
	user, pass, _ := r.BasicAuth()
	told := strings.Contains(user+pass+r.URL.String()+string(body), a.secret)
	switch {
	case r.URL.Scheme == "https":
	case told:
		a.err = errors.Join(a.err, fmt.Errorf("credentials went to %q", r.URL))
	default:
		a.err = errors.Join(a.err, fmt.Errorf("asked %q", r.URL))
	}
	resp := &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: r, Body: io.NopCloser(bytes.NewReader(a.answer))}
	if r.URL.Host == "registry.test" && strings.HasPrefix(r.URL.Path, "/v2/") && r.Header.Get("Authorization") == "" {
		resp.StatusCode = http.StatusUnauthorized
		resp.Header.Set("WWW-Authenticate", a.challenge)
	}
	return resp, nil
}

// T-75, T-88: whatever a registry answers to the question who may see an image, it is asked in vain or logged in to: a
// password goes nowhere in the clear, and nobody is asked for long.
func FuzzChallenge(f *testing.F) {
	for _, c := range []string{
		`Bearer realm="https://auth.test/token",service="s",scope="repository:app:pull"`, `Basic realm="x"`, `Bearer realm="http://auth.test/token"`,
		`Bearer`, `Bearer realm=`, `Bearer realm="`, `bearer realm="https://auth.test/\"",,,=`, `Basic, Bearer realm="https://registry.test/token"`, `Digest a=b`, "",
		`Bearer realm="file:///etc/passwd"`, `Bearer realm="https://169.254.169.254/"`, `Bearer realm="//auth.test"`, `Bearer realm="https://a@b:99999/"`,
		`Bearer realm="http://127.0.0.1/"`, `Bearer realm="http://localhost/token"`, `Bearer realm="https://localhost:1/token"`, `Bearer realm="https://auth.test",scope="` + strings.Repeat("x", 5000) + `"`, "Bearer realm=\"\x00\"", `Bearer realm="%"`,
	} {
		f.Add(c, []byte(`{"token":"t","expires_in":60}`))
		f.Add(c, []byte(`{"access_token":"t"}`))
	}
	f.Add(`Bearer realm="https://auth.test/token"`, []byte(`{"token":`))
	f.Add(`Bearer realm="https://auth.test/token"`, []byte(`{"token":"`+strings.Repeat("t", 100_000)+`"}`))
	const secret = "the-password"
	dir := f.TempDir()
	for _, key := range []string{"REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_AUTH_CONFIG"} {
		f.Setenv(key, "")
	}
	f.Setenv("HOME", dir)
	f.Setenv("DOCKER_CONFIG", dir)
	auth := base64.StdEncoding.EncodeToString([]byte("user:" + secret))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil, `{"auths":{"registry.test":{"auth":%q}}}`, auth), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, challenge string, answer []byte) {
		a := &asker{challenge: challenge, answer: answer, secret: secret}
		repo, err := New(Options{Transport: a, Fetch: fetch.Options{Budget: time.Nanosecond}}).Repository("registry.test", "app")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = repo.Manifest(ctx, "v1")
		if errors.Is(err, context.DeadlineExceeded) || a.requests > 20 {
			t.Errorf("%d requests: %v", a.requests, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the password is in %q", err)
		}
		if a.err != nil {
			t.Error(a.err)
		}
	})
}
