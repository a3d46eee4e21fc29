package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Request says what [Client.Open] should bring.
type Request struct {
	Name    string   // what errors call it
	Sources []Source // tried in order
	Size    int64    // bytes of the whole file; -1 = not known
	Offset  int64    // bytes at its beginning that the caller has already

	end int64 // if set, the body ends before this byte, and a server that sends the whole file is refused
}

// Body is the bytes of one file from Offset to its end, over as many connections as that takes. A
// broken or stalled connection is continued with a Range request; a server that ignores those is
// read again from the beginning, and what the caller has is skipped. Its reader must verify the
// content: parts of it can come from different servers.
//
// A Body is for one goroutine.
type Body struct {
	c   *Client
	ctx context.Context
	req Request

	off    int64 // bytes handed out, plus Offset
	source int   // index of the source in use
	noRng  bool  // it does not honour Range
	whole  bool  // the answer marks its end, so that a cut is told from a file that is short
	joined bool  // the content was put together from more than one answer
	retry  retry
	mark   int64 // off at the last progress
	errs   []error
	done   bool
	err    error

	cur    io.ReadCloser
	cancel context.CancelCauseFunc
	stall  *time.Timer
	waited time.Duration // for the last few bytes: see await
	few    int
	curCtx context.Context
}

// Open starts a download. Nothing is sent before the first Read. The end of ctx ends the body with
// ctx's error.
func (c *Client) Open(ctx context.Context, r Request) *Body {
	return &Body{c: c, ctx: ctx, req: r, off: r.Offset, mark: r.Offset, joined: r.Offset > 0}
}

// Joined tells whether the content was put together from several answers or from an earlier run,
// so that wrong content may be the joint's fault and one clean try is worth while.
func (b *Body) Joined() bool { return b.joined }

// Close ends the connection. It must be called.
func (b *Body) Close() error {
	b.drop()
	b.err = errors.New("read of a closed body")
	return nil
}

// Read brings the next bytes; io.EOF means that the size is as promised.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 || b.err != nil {
		return 0, b.err
	}
	for {
		if b.done || (b.cur == nil && b.req.Size >= 0 && b.off == b.limit()) {
			b.drop()
			b.err = io.EOF
			return 0, io.EOF
		}
		if b.cur == nil {
			if err := b.connect(); err != nil {
				b.err = err
				return 0, err
			}
		}
		n, err := b.read(p)
		if err != nil {
			if err = b.failed(err); err != nil {
				b.err = err
			}
		}
		if n > 0 {
			return n, nil
		}
		if b.err != nil {
			return 0, b.err
		}
	}
}

// read takes bytes from the open connection. A nil error with b.done set is the end.
func (b *Body) read(p []byte) (int, error) {
	left := b.limit() - b.off
	if int64(len(p)) > left {
		p = p[:left]
	}
	n, err := b.await(p)
	if b.off += int64(n); b.off-b.mark >= progressStep {
		b.mark, b.retry = b.off, retry{begun: b.source == len(b.req.Sources)-1}
	}
	switch {
	case err == io.EOF && b.req.Size < 0:
		b.done = true
		return n, nil
	case b.off == b.limit():
		return n, b.finish(err)
	case err == io.EOF && b.whole:
		return n, &SizeError{Name: b.req.Name, Want: b.req.Size, Got: b.off}
	case err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// trickle is how many bytes count as the server's being alive: one byte a minute would hold us for years.
const trickle = 4 << 10

// await reads from the open connection. The clock runs only while we wait for the server: a reader that is
// slow to come back, as one whose disk is busy, is not its fault.
func (b *Body) await(p []byte) (int, error) {
	b.stall.Reset(max(b.c.o.Stall-b.waited, time.Millisecond))
	begin := time.Now()
	n, err := b.cur.Read(p)
	b.stall.Stop()
	b.waited += time.Since(begin)
	if b.few += n; b.few >= trickle {
		b.waited, b.few = 0, 0
	}
	return n, err
}

func (b *Body) limit() int64 {
	if b.req.end > 0 {
		return b.req.end
	}
	if b.req.Size >= 0 {
		return b.req.Size
	}
	return b.c.o.MaxSize
}

// finish asks for one byte more than there should be. A connection that then says nothing is fine.
func (b *Body) finish(err error) error {
	if err == nil {
		var one [1]byte
		b.stall.Reset(min(b.c.o.Stall, 2*time.Second))
		if n, _ := io.ReadFull(b.cur, one[:]); n > 0 {
			return &SizeError{Name: b.req.Name, Want: b.limit(), Got: -1}
		}
	}
	b.done = true
	return nil
}

// drop closes the open connection.
func (b *Body) drop() {
	if b.cur != nil {
		b.stall.Stop()
		b.cur.Close()
		b.cancel(nil)
		b.cur = nil
	}
}

// failed decides after a failure: nil = go on with another connection.
func (b *Body) failed(err error) error {
	if b.curCtx != nil && context.Cause(b.curCtx) == ErrStalled {
		err = fmt.Errorf("%w in %s", ErrStalled, b.c.o.Stall)
	}
	b.drop()
	if b.ctx.Err() != nil {
		return b.ctx.Err()
	}
	b.c.o.Log.Debug("download failed", "name", b.req.Name, "offset", b.off, "err", err)
	if b.retry.next(b.ctx, err, b.c.o.Budget) {
		return nil
	}
	if b.ctx.Err() != nil {
		return b.ctx.Err()
	}
	b.errs = append(b.errs, err)
	b.source++
	b.retry, b.noRng = retry{}, false
	if b.source < len(b.req.Sources) {
		return nil
	}
	return b.final()
}

// final chooses among the errors of all sources the one that says most.
func (b *Body) final() error {
	var last error
	for _, err := range b.errs {
		var s *StatusError
		if errors.As(err, &s) && (s.Code == http.StatusNotFound || s.Code == http.StatusGone) {
			continue
		}
		last = err
	}
	if last == nil {
		return ErrNotFound{b.req.Name}
	}
	return explain(b.req.Name, last)
}

// connect opens a connection whose next byte is the one at b.off, or fails for good.
func (b *Body) connect() error {
	if len(b.req.Sources) == 0 {
		return ErrNotFound{b.req.Name}
	}
	for {
		err := b.try(b.req.Sources[b.source])
		if err == nil {
			return nil
		}
		if err = b.failed(err); err != nil {
			return err
		}
	}
}

func (b *Body) try(src Source) error {
	ctx, cancel := context.WithCancelCause(b.ctx)
	b.curCtx, b.cancel = ctx, cancel
	b.waited, b.few = 0, 0
	b.stall = time.AfterFunc(b.c.o.Stall, func() { cancel(ErrStalled) })
	rng := ""
	switch {
	case b.req.end > 0:
		rng = fmt.Sprintf("bytes=%d-%d", b.off, b.req.end-1)
	case b.off > 0 && !b.noRng:
		rng = fmt.Sprintf("bytes=%d-", b.off)
	}
	resp, err := b.c.send(ctx, http.MethodGet, src, rng)
	if err == nil {
		err = b.accept(resp, rng != "")
	}
	if err != nil {
		b.stall.Stop()
		if context.Cause(ctx) == ErrStalled {
			err = fmt.Errorf("%w in %s", ErrStalled, b.c.o.Stall)
		}
		cancel(nil)
		b.curCtx = nil
	}
	return err
}

// accept looks at an answer's status and headers.
func (b *Body) accept(resp *http.Response, ranged bool) error {
	switch {
	case resp.StatusCode == http.StatusPartialContent && ranged:
		if err := b.checkRange(resp.Header.Get("Content-Range")); err != nil {
			resp.Body.Close()
			b.noRng = true
			if b.req.end > 0 {
				err = Permanent(err)
			}
			return err
		}
		b.cur, b.whole = resp.Body, false
		return nil
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && ranged:
		drain(resp)
		b.noRng = true
		return errRange
	case resp.StatusCode != http.StatusOK:
		return statusError(resp)
	case b.req.end > 0:
		resp.Body.Close()
		return Permanent(errRange)
	}
	if n := resp.ContentLength; b.req.Size >= 0 && n >= 0 && n != b.req.Size {
		resp.Body.Close()
		return &SizeError{Name: nameOf(b.req.Name, resp.Request.URL), Want: b.req.Size, Got: n}
	}
	b.cur, b.whole = resp.Body, slices.Contains(resp.TransferEncoding, "chunked")
	if b.off > 0 {
		b.joined = true
		return b.skip(b.off)
	}
	return nil
}

var errRange = errors.New("the server does not continue where it should")

// checkRange insists on exactly the range that was asked for: "bytes START-END/TOTAL".
func (b *Body) checkRange(h string) error {
	var start, end, total int64
	n, err := fmt.Sscanf(h, "bytes %d-%d/%d", &start, &end, &total)
	if n == 2 && h == fmt.Sprintf("bytes %d-%d/*", start, end) {
		total, err = b.req.Size, nil
	} else if h != fmt.Sprintf("bytes %d-%d/%d", start, end, total) {
		err = errRange
	}
	if err != nil || start != b.off || end < start || (b.req.Size >= 0 && (total != b.req.Size || end >= total)) || b.req.end > 0 && end >= b.req.end {
		return errRange
	}
	b.joined = true
	return nil
}

// skip reads over bytes that the caller has.
func (b *Body) skip(n int64) error {
	buf := make([]byte, 64<<10)
	for n > 0 {
		m, err := b.await(buf[:min(n, int64(len(buf)))])
		n -= int64(m)
		if err != nil && n > 0 {
			b.cur.Close()
			b.cur = nil
			return fmt.Errorf("skip: %w", err)
		}
	}
	return nil
}

func nameOf(name string, u *url.URL) string { return name + " from " + redact(u) }
