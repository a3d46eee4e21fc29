package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/internal/printable"
)

// What a server says is one line of at most so many bytes in a message.
const (
	maxSaid  = 200
	maxError = 400
)

// answerError is a refusal in one line. The library's own text holds whole bodies.
type answerError struct {
	text string
	err  *transport.Error
}

func (e *answerError) Error() string { return e.text }

// Unwrap gives the answer, for its status.
func (e *answerError) Unwrap() error { return e.err }

// answered puts an answer into words: its status, and what the server says in the form that registries have
// for that. withBody says whether a body of another form may be quoted.
func answered(t *transport.Error, withBody bool) error {
	text := fmt.Sprintf("status %d %s", t.StatusCode, http.StatusText(t.StatusCode))
	var said []string
	for _, d := range t.Errors[:min(len(t.Errors), 3)] {
		said = append(said, strings.TrimSuffix(string(d.Code)+": "+d.Message, ": "))
	}
	if len(said) == 0 && withBody {
		_, body, _ := strings.Cut(t.Error(), http.StatusText(t.StatusCode)+": ")
		if body = strings.TrimSpace(body); body != "" && body[0] != '<' { // no page for a browser
			said = append(said, body)
		}
	}
	if len(said) > 0 {
		text += ": " + printable.Line(strings.Join(said, "; "), maxSaid)
	}
	return &answerError{text, t}
}

// wireError marks what a request that we made ourselves met: its text is not that of a body.
type wireError struct{ err error }

func (e *wireError) Error() string { return e.err.Error() }
func (e *wireError) Unwrap() error { return e.err }

// wire marks the errors of a transport.
type wire struct{ http.RoundTripper }

// RoundTrip passes the request on.
func (t wire) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		err = &wireError{err}
	}
	return resp, err
}

// tokenError is an error of the library that fetches tokens, without anything of a body that a token server
// gave: there the library quotes what it does not understand, and that is where tokens are.
func tokenError(err error) error {
	var (
		answer *transport.Error
		sent   *wireError
		req    *url.Error
	)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &answer):
		return answered(answer, false)
	case errors.As(err, &req) && errors.As(err, &sent):
		return printable.Error(&requestError{req, sent}, maxError)
	case errors.As(err, &req): // the library's own rules for redirects; it quotes the address
		return fmt.Errorf("%s %s: a redirect of the token server is refused", req.Op, fetch.Redact(req.URL))
	case errors.As(err, &sent):
		return printable.Error(err, maxError)
	}
	// What the registry's own header says.
	for _, begin := range []string{"invalid realm", "malformed www-authenticate", "challenge scheme"} {
		if strings.HasPrefix(err.Error(), begin) {
			return printable.Error(err, maxError)
		}
	}
	return errors.New("the token server's answer holds no token")
}

// requestError is a *url.Error without what may be secret in its address.
type requestError struct {
	req *url.Error
	err error
}

func (e *requestError) Error() string {
	return fmt.Sprintf("%s %s: %v", e.req.Op, fetch.Redact(e.req.URL), e.err)
}

// Unwrap gives the reason.
func (e *requestError) Unwrap() error { return e.err }

// pushError is an error of the library that pushes, in one line.
func pushError(err error) error {
	var (
		answer *transport.Error
		sent   *wireError
	)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &answer):
		return answered(answer, true)
	case !errors.As(err, &sent) && strings.Contains(err.Error(), "token"):
		return tokenError(err)
	}
	return printable.Error(err, maxError)
}
