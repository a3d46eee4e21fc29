package fetch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// NewTransport returns a transport for few large bodies: proxies from the environment, CA files as
// the standard library finds them (SSL_CERT_FILE), large read buffers, bounded headers.
//
// It speaks HTTP/1.1 only: one connection for each download gives each its own window and its own
// reader, where HTTP/2 would put all layers of an image behind one.
func NewTransport() *http.Transport {
	var p http.Protocols
	p.SetHTTP1(true)
	d := &net.Dialer{Timeout: 20 * time.Second, KeepAlive: 30 * time.Second, ControlContext: refuseLocal}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            d.DialContext,
		Protocols:              &p,
		TLSHandshakeTimeout:    20 * time.Second,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        60 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		ReadBufferSize:         64 << 10,
		DisableCompression:     true, // digests are of the bytes as they lie on the server
	}
}

type ctxKey int

// redirected marks the context of a request that a redirect led to, away from a public origin.
const redirected ctxKey = 0

// refuseLocal is asked with the resolved address, so that a name cannot hide a local service.
func refuseLocal(ctx context.Context, _, address string, _ syscall.RawConn) error {
	if ctx.Value(redirected) == nil {
		return nil
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if isLocal(ap.Addr()) {
		return &refusedError{fmt.Sprintf("redirect to the local address %s is refused", ap.Addr())}
	}
	return nil
}

// isLocal tells addresses that only reach this machine or its cloud's metadata service.
func isLocal(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsLoopback() || isMetadata(a) || a.IsUnspecified()
}

func isMetadata(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsLinkLocalUnicast() || a == netip.MustParseAddr("fd00:ec2::254")
}

// IsLoopback tells whether a host of a URL, with or without a port, is this machine by its form
// alone: an address of the loopback network, or localhost.
func IsLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if len(host) > 2 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
