package unpack_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/4cc2e759/sandbox/images/unpack"
)

// stream is zstd of unknown length with a window of so many bytes.
func stream(t *testing.T, b []byte, window int) []byte {
	t.Helper()
	var buf bytes.Buffer
	z, err := zstd.NewWriter(&buf, zstd.WithWindowSize(window))
	if err != nil {
		t.Fatal(err)
	}
	z.Write(b[:len(b)/2])
	z.Flush() // its size is not known by now
	z.Write(b[len(b)/2:])
	z.Close()
	var h zstd.Header
	if err := h.Decode(buf.Bytes()); err != nil || h.WindowSize != uint64(window) {
		t.Fatalf("a window of %d, want %d: %v", h.WindowSize, window, err)
	}
	return buf.Bytes()
}

// T-17, T-86: a frame may ask for as much as the first one may, wherever it comes in the stream, and waits for its
// turn like it: two streams at a time have large windows.
func TestWideFramesAnywhere(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 40_000)
	small, large := stream(t, content, 1<<20), stream(t, content, 64<<20)
	skip := []byte{0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'x', 'y', 'z'}
	whole := bytes.Join([][]byte{skip, small, skip, small, large, large, small}, nil)
	open := func(ctx context.Context, b []byte) (io.Reader, func()) {
		r, done, err := unpack.Plain(ctx, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return r, done
	}
	read := func(r io.Reader, frames int) {
		t.Helper()
		if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, bytes.Repeat(content, frames)) {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}
	first, done1 := open(t.Context(), whole)
	read(first, 5)
	second, done2 := open(t.Context(), large)
	read(second, 1)

	ctx, cancel := context.WithCancel(t.Context())
	third, done3 := open(ctx, whole)
	fourth, done4 := open(t.Context(), bytes.Join([][]byte{small, skip, small}, nil))
	read(fourth, 2) // waits for nobody
	done4()
	if _, err := io.ReadFull(third, make([]byte, len(content))); err != nil { // the frames before
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, third); !errors.Is(err, context.Canceled) {
		t.Errorf("a third large window at once: %v", err)
	}
	done3()

	fifth, done5 := open(t.Context(), whole)
	told := make(chan struct{})
	go func() { defer close(told); read(fifth, 5) }()
	done1()
	<-told
	done5()
	done2()

	for name, b := range map[string][]byte{
		"256 MiB": append(bytes.Clone(small), 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x90, 0x09, 0x00, 0x00, 'x'),
		"a cut":   whole[:len(whole)-2], "a cut header": append(bytes.Clone(small), large[:5]...), "garbage": append(bytes.Clone(small), "garbage"...),
	} {
		r, done := open(t.Context(), b)
		if _, err := io.Copy(io.Discard, r); err == nil {
			t.Errorf("%s was taken", name)
		}
		done()
	}
}
