package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// A tag that is not there is answered with those that are, a likely one first, and no more of them than help.
func TestTagsThatAreThere(t *testing.T) {
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("1.%02d", i))
	}
	for _, c := range []struct {
		ask  string
		tags []string
		want string
	}{
		{"latest", []string{"v1", "v2"}, "tags there: v1, v2"},
		{"latset", append([]string{"latest"}, many...), "tags there: latest, 1.31, 1.32, 1.33, 1.34, 1.35, 1.36, 1.37, 1.38, 1.39, and 31 more"},
		{"3.13-slm", append([]string{"3.13-slim", "3.12-slim", "3.1-slim", "x3"}, many...), "tags there: 3.13-slim, 3.1-slim, 3.12-slim, 1.34, 1.35, 1.36, 1.37, 1.38, 1.39, x3, and 34 more"},
		{"1.2.7", append(many, "1.2.7-bookworm", "1.2.7-alpine"), "tags there: 1.2.7-alpine, 1.2.7-bookworm, 1.27, 1.07, 1.17, 1.20, 1.21, 1.22, 1.23, 1.24, and 32 more"},
		{"main", append([]string{"main-20240101", "main-20250101"}, many...), "tags there: main-20240101, main-20250101, 1.32, 1.33, 1.34, 1.35, 1.36, 1.37, 1.38, 1.39, and 32 more"},
		{"b", []string{"a", "", "b-1", "a", "c"}, "tags there: b-1, a, c"},
		{"v1", nil, "check name and tag"},
		{"sha256:" + strings.Repeat("0", 64), []string{"v1"}, "check name and digest"},
		{"x", []string{"a\x1b[2J"}, `tags there: a\x1b[2J`},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.tags == nil || r.URL.Path != "/v2/app/tags/list" {
				http.NotFound(w, r)
				return
			}
			json.NewEncoder(w).Encode(map[string]any{"name": "app", "tags": c.tags})
		}))
		defer s.Close()
		repo, err := New(Options{}).Repository(strings.TrimPrefix(s.URL, "http://"), "app")
		if err != nil {
			t.Fatal(err)
		}
		_, err = repo.Manifest(t.Context(), c.ask)
		if got := strings.Join(hint.Of(err), "\n"); err == nil || got != c.want {
			t.Errorf("%s: %v: %q, want %q", c.ask, err, got, c.want)
		}
	}
}

// A registry that does not list its tags now is asked once: the list only helps to word an error.
func TestTagsAreAskedForOnce(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			asked.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		http.NotFound(w, r)
	}))
	defer s.Close()
	repo, err := New(Options{}).Repository(strings.TrimPrefix(s.URL, "http://"), "app")
	if err != nil {
		t.Fatal(err)
	}
	_, err = repo.Manifest(t.Context(), "v1")
	if got := strings.Join(hint.Of(err), "\n"); err == nil || got != "check name and tag" || asked.Load() != 1 {
		t.Errorf("%v: %q, asked %d times", err, got, asked.Load())
	}
}
