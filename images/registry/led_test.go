package registry

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images/fetch"
)

// T-38, T-75: where a registry says that a blob is to be sent is no service of this machine.
func TestUploadIsNotLedHere(t *testing.T) {
	asked := 0
	here := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer here.Close()
	port := here.URL[strings.LastIndexByte(here.URL, ':'):]
	for _, c := range []struct {
		registry, to string
		want         bool
	}{
		{"registry.test", "http://127.0.0.1" + port, false},
		{"registry.test", "http://localhost" + port, false},
		{"registry.test", "http://169.254.169.254/latest", false},
		{"127.0.0.1:5000", "http://localhost" + port, true},
		{"127.0.0.1" + port, "http://127.0.0.1" + port, true},
	} {
		asked = 0
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.to, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := led{c.registry, fetch.NewTransport()}.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != c.want || asked > 0 != c.want {
			t.Errorf("%s to %s: %v, asked %d times", c.registry, c.to, err, asked)
		}
	}
	// A name that hides an address: the dialler looks.
	r, err := fetch.Led("registry.test", httptest.NewRequestWithContext(t.Context(), http.MethodPut, "http://name.test"+port, http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Host = "127.0.0.1" + port
	if _, err := fetch.NewTransport().RoundTrip(r); err == nil || !strings.Contains(err.Error(), "refused") || asked > 1 {
		t.Errorf("behind a name: %v", errors.Unwrap(err))
	}
}
