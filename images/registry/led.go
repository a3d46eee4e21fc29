package registry

import (
	"net/http"

	"github.com/4cc2e759/sandbox/images/fetch"
)

// led sends requests of a library that believes a registry about where to go next.
type led struct {
	host string
	rt   http.RoundTripper
}

// RoundTrip refuses what [fetch.Led] does.
func (t led) RoundTrip(r *http.Request) (*http.Response, error) {
	r, err := fetch.Led(t.host, r)
	if err != nil {
		return nil, err
	}
	return t.rt.RoundTrip(r)
}
