package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/printable"
)

// ErrNotFound says that no source has the file.
type ErrNotFound struct{ Name string }

func (e ErrNotFound) Error() string { return "not found: " + e.Name }

// HashError says that a file is not what was promised. Nothing of it is kept.
type HashError struct {
	Name      string // the file, with where it came from
	Want, Got string // digests; Got may be empty where the content was wrong before its end
}

func (e *HashError) Error() string {
	return fmt.Sprintf("%s: wrong content: want %s, got %s", e.Name, e.Want, e.Got)
}

// SizeError says that a body is longer or shorter than promised.
type SizeError struct {
	Name      string
	Want, Got int64 // bytes; Got is -1 for a body that did not end after Want
}

func (e *SizeError) Error() string {
	if e.Got < 0 {
		return fmt.Sprintf("%s: wrong size: more than %d bytes", e.Name, e.Want)
	}
	return fmt.Sprintf("%s: wrong size: want %d bytes, got %d", e.Name, e.Want, e.Got)
}

// StatusError is an answer that is neither success nor worth another try.
type StatusError struct {
	URL  string // without credentials
	Code int
	Body []byte // the first bytes of the answer, at most 8 KiB

	after time.Duration // Retry-After; -1 where there was none
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: status %d %s", e.URL, e.Code, http.StatusText(e.Code))
}

// temporary tells the answers that another try can change.
func (e *StatusError) temporary() bool {
	switch e.Code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, 499, 522:
		return true
	}
	return false
}

// ErrStalled says that a connection stayed open but brought nothing.
var ErrStalled = errors.New("no progress")

// refusedError is a step that we do not take, however often we are asked.
type refusedError struct{ why string }

func (e *refusedError) Error() string { return e.why }

// Permanent marks an error of a transport after which no other try is made.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// permanent tells errors for which another try of the same source is useless.
func permanent(err error) bool {
	var status *StatusError
	var size *SizeError
	var refused *refusedError
	var dns *net.DNSError
	var marked *permanentError
	switch {
	case errors.As(err, &marked):
		return true
	case errors.As(err, &status):
		return !status.temporary()
	case errors.As(err, &dns):
		return dns.IsNotFound
	case errors.As(err, &size), errors.As(err, &refused), isCertificate(err), SpeaksPlain(err):
		return true
	}
	return false
}

func isCertificate(err error) bool {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	return errors.As(err, &unknown) || errors.As(err, &invalid) || errors.As(err, &host)
}

// SpeaksPlain tells the error of an https request to a server that answers, but not in TLS: most likely it has
// only http there. Some answer with a page and no header.
func SpeaksPlain(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record)
}

// Unreachable tells errors from before anything was sent: no such host, nobody there.
func Unreachable(err error) bool { return isDial(err) }

// isDial tells errors from before anything was sent.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// explain puts the object and the advice to the last error of a download.
func explain(name string, err error) error {
	said := err.Error()
	if begin := strings.TrimPrefix(name, "https"); begin != name && strings.HasPrefix(said, "http"+begin) {
		name = "http" + begin // a registry that has nothing else
	}
	if strings.HasPrefix(said, name+": ") || strings.HasPrefix(said, name+" from ") {
		err = fmt.Errorf("fetch %w", err)
	} else {
		err = fmt.Errorf("fetch %s: %w", name, err)
	}
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &unknown):
		return hint.With(err, "if this network has its own certificate authority, set SSL_CERT_FILE to its file")
	case isDial(err):
		return hint.With(err, "check the network; a proxy is taken from HTTPS_PROXY and HTTP_PROXY")
	}
	return err
}

// redact returns a URL without its password and without its query, which may hold a signature, and no more of
// it than helps: a server can redirect to one of any length.
func redact(u *url.URL) string {
	c := *u
	c.User, c.RawQuery, c.Fragment = nil, "", ""
	return printable.Line(c.String(), 300)
}

// Redact is a web address for a message: without password, query and fragment.
func Redact(addr string) string {
	u, err := url.Parse(addr)
	if err != nil {
		return "an address that cannot be read"
	}
	return redact(u)
}
