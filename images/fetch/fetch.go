// Package fetch brings files over HTTP into the blob store: resumed, retried, bounded, and verified
// before anything has a final name. Start with [New]; [Client.Blob] is for files whose digest is
// known, [Client.Get] for metadata, [Client.Open] for a caller that wants the bytes as they arrive.
//
// A server is not trusted: what it sends is limited by the expected size, redirects are counted and
// may not lead to local services, and credentials stay with the origin they were given for.
package fetch

import (
	"log/slog"
	"net/http"
	"time"
)

// Options are how a [Client] behaves; the zero value is good.
type Options struct {
	Transport http.RoundTripper // nil = [NewTransport]: proxies and CA files from the environment
	UserAgent string            // "" = "sandbox"
	Log       *slog.Logger      // nil = nothing is logged
	Jobs      int               // downloads at once in [Client.Blobs]; 0 = 6

	// AllowHTTP permits plain http to any host, for archives whose content is verified by other
	// means. Without it, plain http is only for loopback and for hosts that PlainHTTP names.
	AllowHTTP bool
	PlainHTTP func(host string) bool // host as in a URL, with its port

	Stall   time.Duration // give up on a connection without progress; 0 = 60 s
	Budget  time.Duration // time spent waiting between tries of one download; 0 = 5 min
	MaxSize int64         // largest body where the size is not known; 0 = 64 GiB
}

// Source is one place where a file may lie.
type Source struct {
	URL    string
	Header http.Header // credentials and the like: sent only to the origin of URL
	Accept string      // the Accept header, which is no secret and follows redirects

	// Via, if set, is the transport for this source, for one that adds its own authentication.
	Via http.RoundTripper
}

// Client fetches. It is safe for use by many goroutines at once and keeps connections open
// between calls.
type Client struct {
	o  Options
	rt http.RoundTripper
}

// New returns a client.
func New(o Options) *Client {
	if o.UserAgent == "" {
		o.UserAgent = "sandbox"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Jobs <= 0 {
		o.Jobs = 6
	}
	if o.Stall <= 0 {
		o.Stall = 60 * time.Second
	}
	if o.Budget <= 0 {
		o.Budget = 5 * time.Minute
	}
	if o.MaxSize <= 0 {
		o.MaxSize = 64 << 30
	}
	rt := o.Transport
	if rt == nil {
		rt = NewTransport()
	}
	return &Client{o: o, rt: rt}
}
