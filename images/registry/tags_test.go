package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
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
