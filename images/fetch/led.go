package fetch

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
)

// Led is r as it may be sent where the server at host (with its port) says where to go next: an address to upload to,
// or to log in at. Like a redirect it does not lead to services of this machine or its cloud, unless host is one.
func Led(host string, r *http.Request) (*http.Request, error) {
	if r.URL.Host == host || IsLoopback(host) {
		return r, nil
	}
	a, err := netip.ParseAddr(r.URL.Hostname())
	if IsLoopback(r.URL.Host) || err == nil && isLocal(a) {
		return nil, Permanent(&refusedError{fmt.Sprintf("%s leads to the local address %s, which is refused", host, r.URL.Host)})
	}
	if proxied(r.URL) {
		return r, nil
	}
	return r.WithContext(context.WithValue(r.Context(), redirected, true)), nil
}
