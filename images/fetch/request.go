package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/4cc2e759/sandbox/internal/printable"
)

const maxRedirects = 10

// send makes one request and follows its redirects. The caller closes the body.
func (c *Client) send(ctx context.Context, method string, src Source, rng string) (*http.Response, error) {
	origin, err := url.Parse(src.URL)
	if err != nil {
		return nil, &refusedError{"not a web address that can be read"} // it may hold a password
	}
	rt := src.Via
	if rt == nil {
		rt = c.rt
	}
	for u, hop := origin, 0; ; hop++ {
		if err := c.allowed(origin, u, hop); err != nil {
			return nil, err
		}
		resp, err := rt.RoundTrip(c.request(ctx, method, src, origin, u, rng))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", redact(u), printable.Error(err, 400))
		}
		asked := u
		if resp.Request != nil { // a transport may know better, such as a scheme
			asked = resp.Request.URL
		}
		c.o.Log.Debug("request", "method", method, "url", redact(asked), "range", rng, "status", resp.StatusCode)
		switch resp.StatusCode {
		case 301, 302, 303, 307, 308:
		default:
			if resp.Request == nil {
				resp.Request = &http.Request{URL: u}
			}
			return resp, nil
		}
		drain(resp)
		if hop == maxRedirects {
			return nil, &refusedError{fmt.Sprintf("%s: more than %d redirects", redact(origin), maxRedirects)}
		}
		loc := resp.Header.Get("Location")
		if u, err = u.Parse(loc); err != nil || loc == "" {
			return nil, &refusedError{redact(origin) + ": redirect without a usable location"}
		}
	}
}

// request is the request for u, which is origin or where origin redirected to. Only requests to the
// very same scheme, host and port carry the source's headers.
func (c *Client) request(ctx context.Context, method string, src Source, origin, u *url.URL, rng string) *http.Request {
	h := http.Header{}
	if sameOrigin(origin, u) {
		for k, v := range src.Header {
			h[http.CanonicalHeaderKey(k)] = v
		}
		if user := origin.User; user != nil && h.Get("Authorization") == "" {
			p, _ := user.Password()
			r := &http.Request{Header: h}
			r.SetBasicAuth(user.Username(), p)
		}
	} else if !IsLoopback(origin.Host) && !proxied(u) {
		ctx = context.WithValue(ctx, redirected, true)
	}
	h.Set("User-Agent", c.o.UserAgent)
	if src.Accept != "" {
		h.Set("Accept", src.Accept)
	}
	if rng != "" {
		h.Set("Range", rng)
	}
	// The transport would ask for gzip otherwise, and Range of a gzip is not Range of the file.
	h.Set("Accept-Encoding", "identity")
	clean := *u
	clean.User, clean.Fragment = nil, ""
	r := &http.Request{Method: method, URL: &clean, Header: h, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	return r.WithContext(context.WithValue(ctx, inRetry, true))
}

// allowed holds the rules for addresses: http and https alone, no step from https to http, no
// redirect from elsewhere to services of this machine.
func (c *Client) allowed(origin, u *url.URL, hop int) error {
	switch {
	case u.Host == "":
		return &refusedError{"not a web address: " + redact(u)}
	case u.Scheme == "https":
	case u.Scheme != "http":
		return &refusedError{fmt.Sprintf("%s: only http and https are fetched", redact(u))}
	case c.o.AllowHTTP, IsLoopback(u.Host), c.o.PlainHTTP != nil && c.o.PlainHTTP(u.Host):
	case hop > 0 && origin.Scheme == "https":
		return &refusedError{fmt.Sprintf("%s: redirect to plain http is refused", redact(u))}
	case hop > 0:
	default:
		return &refusedError{fmt.Sprintf("%s: plain http is refused", redact(u))}
	}
	if hop == 0 {
		return nil
	}
	a, err := netip.ParseAddr(u.Hostname())
	if (err == nil && isMetadata(a)) || (!IsLoopback(origin.Host) && (IsLoopback(u.Host) || err == nil && isLocal(a))) {
		return &refusedError{fmt.Sprintf("%s: redirect to the local address %s is refused", redact(origin), u.Host)}
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Hostname() == b.Hostname() && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// proxied tells whether a proxy makes the connection: then the address that we dial is the proxy's.
func proxied(u *url.URL) bool {
	p, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	return err == nil && p != nil
}

// drain reads what is left of a small body, so that its connection can be used again.
func drain(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, 4<<10)
	resp.Body.Close()
}

// statusError takes what an error answer says and closes it.
func statusError(resp *http.Response) *StatusError {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 8<<10))
	resp.Body.Close()
	return &StatusError{URL: redact(resp.Request.URL), Code: resp.StatusCode, Body: b, after: retryAfter(resp.Header, time.Now())}
}
