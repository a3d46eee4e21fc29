package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Get returns a small body and its headers: at most max bytes, retried as downloads are. An answer
// 404 or 410 is ErrNotFound, any other but 200 a *[StatusError].
func (c *Client) Get(ctx context.Context, src Source, max int64) ([]byte, http.Header, error) {
	return c.do(ctx, http.MethodGet, src, max)
}

// Head is [Client.Get] without the body.
func (c *Client) Head(ctx context.Context, src Source) (http.Header, error) {
	_, h, err := c.do(ctx, http.MethodHead, src, 0)
	return h, err
}

func (c *Client) do(ctx context.Context, method string, src Source, max int64) ([]byte, http.Header, error) {
	name := src.URL
	if u, err := url.Parse(src.URL); err == nil {
		name = redact(u)
	}
	var r retry
	for {
		b, h, err := c.once(ctx, method, src, max)
		if err == nil {
			return b, h, nil
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		c.o.Log.Debug("request failed", "url", name, "err", err)
		if r.next(ctx, err, c.o.Budget) {
			continue
		}
		var s *StatusError
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case !errors.As(err, &s):
			return nil, nil, explain(name, err)
		case s.Code == http.StatusNotFound || s.Code == http.StatusGone:
			return nil, nil, ErrNotFound{name}
		}
		return nil, nil, err
	}
}

func (c *Client) once(ctx context.Context, method string, src Source, max int64) ([]byte, http.Header, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(c.o.Stall, func() { cancel(ErrStalled) })
	defer stall.Stop()
	stalled := func(err error) error {
		if context.Cause(ctx) == ErrStalled {
			return fmt.Errorf("%w in %s", ErrStalled, c.o.Stall)
		}
		return err
	}
	resp, err := c.send(ctx, method, src, "")
	if err != nil {
		return nil, nil, stalled(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, statusError(resp)
	}
	defer resp.Body.Close()
	if method == http.MethodHead {
		return nil, resp.Header, nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, max+1))
	if err != nil {
		return nil, nil, stalled(err)
	}
	if int64(len(b)) > max {
		return nil, nil, &SizeError{Name: redact(resp.Request.URL), Want: max, Got: -1}
	}
	return b, resp.Header, nil
}

// inRetry marks requests that are retried by their caller.
const inRetry ctxKey = 1

// Checked tells whether a request with this context was made by this package, which looks at each
// address before it asks for it.
func Checked(ctx context.Context) bool { return ctx.Value(inRetry) != nil }

// Unmarked returns ctx without what Checked looks at, for requests that a library makes on its own
// on behalf of one of ours.
func Unmarked(ctx context.Context) context.Context { return context.WithValue(ctx, inRetry, nil) }

// Retrying returns rt with the tries of this client around requests that it did not make itself,
// such as those of a library that fetches tokens.
func (c *Client) Retrying(rt http.RoundTripper) http.RoundTripper { return retrying{c, rt} }

type retrying struct {
	c  *Client
	rt http.RoundTripper
}

// RoundTrip tries again where the request can be sent again.
func (t retrying) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Context().Value(inRetry) != nil || (req.Body != nil && req.GetBody == nil) {
		return t.rt.RoundTrip(req)
	}
	var r retry
	for {
		resp, err := t.rt.RoundTrip(req)
		if err == nil {
			s := &StatusError{Code: resp.StatusCode, after: retryAfter(resp.Header, time.Now())}
			if !s.temporary() {
				return resp, nil
			}
			err = s
		}
		if !r.next(req.Context(), err, t.c.o.Budget) {
			return resp, unlessAnswer(resp, err)
		}
		if resp != nil {
			drain(resp)
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

func unlessAnswer(resp *http.Response, err error) error {
	if resp != nil {
		return nil
	}
	return err
}
