package unpack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	gzip "github.com/4cc2e759/sandbox/images/inflate"
)

// corruptError is content that cannot be what it says it is.
type corruptError struct{ err error }

func (e *corruptError) Error() string { return "corrupt: " + e.err.Error() }
func (e *corruptError) Unwrap() error { return e.err }

// inflate returns the uncompressed bytes of r. The first bytes decide about the form, not the media
// type: labels are wrong often enough, and the digests decide in the end.
func inflate(ctx context.Context, r io.Reader) (io.Reader, func(), error) {
	br := bufio.NewReaderSize(r, 128<<10)
	magic, err := br.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, nil, corrupt(err)
		}
		return checked{z}, func() { z.Close() }, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18}):
		f := &frames{ctx: ctx, r: br}
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			f.done()
			return nil, nil, corrupt(err)
		}
		return checked{z}, func() { z.Close(); f.done() }, nil
	case bytes.HasPrefix(magic, []byte("BZh")), bytes.HasPrefix(magic, []byte("\xfd7zX")):
		return nil, nil, &corruptError{errors.New("unknown compression")}
	}
	return br, func() {}, nil
}

// Plain returns the uncompressed bytes of r, whether it is gzip, zstd or not compressed; done gives
// the decoder's memory back.
func Plain(ctx context.Context, r io.Reader) (plain io.Reader, done func(), err error) {
	plain, done, err = inflate(ctx, source{r})
	return plain, done, err
}

// checked marks what a decoder complains about.
type checked struct{ r io.Reader }

// Read passes errors of the source as they are.
func (c checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		err = corrupt(err)
	}
	return n, err
}

// sourceError is an error from below a decoder.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func corrupt(err error) error {
	var s *sourceError
	if errors.As(err, &s) {
		return s.err
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &corruptError{err}
}

// source marks errors of the compressed stream, so that they are told from the decoder's own.
type source struct{ r io.Reader }

// Read is the reader's.
func (s source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		err = &sourceError{err}
	}
	return n, err
}
