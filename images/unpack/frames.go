package unpack

import (
	"bufio"
	"context"
	"math"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory that a zstd stream can ask for. The format's own tools refuse more
// unless they are told otherwise. Most ask for 8 MiB or less; those that ask for more than usualWindow wait for
// each other, because all layers of an image may do so.
const (
	maxWindow   = 128 << 20
	usualWindow = 32 << 20
)

var wide = make(chan struct{}, 2)

// frames passes a zstd stream on, frame by frame, since each asks for memory of its own: the first that asks for
// much waits for its turn, which the stream then has until it ends. What is no zstd is passed on as it is, for the
// decoder to complain about.
type frames struct {
	ctx   context.Context
	r     *bufio.Reader
	left  int64 // bytes to pass on before the next header
	block bool  // it is that of a block
	sum   bool  // a checksum follows the last block
	wide  bool
}

// Read ends with the context while it waits.
func (f *frames) Read(p []byte) (int, error) {
	for f.left == 0 {
		next := f.frame
		if f.block {
			next = f.nextBlock
		}
		if err := next(); err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, err
}

// frame looks at the header of a frame.
func (f *frames) frame() error {
	b, _ := f.r.Peek(zstd.HeaderMaxSize) // its error comes again
	var h zstd.Header
	if h.Decode(b) != nil {
		f.left = math.MaxInt64
		return nil
	}
	f.left = int64(h.HeaderSize)
	if h.Skippable {
		f.left += int64(h.SkippableSize)
		return nil
	}
	f.block, f.sum = true, h.HasCheckSum
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	if f.wide || window <= usualWindow || window > maxWindow { // more is refused
		return nil
	}
	select {
	case wide <- struct{}{}:
		f.wide = true
		return nil
	case <-f.ctx.Done():
		return &sourceError{f.ctx.Err()}
	}
}

// nextBlock looks at the three bytes before a block: whether it is the last, its type and its size.
func (f *frames) nextBlock() error {
	const repeated = 1 // one byte stands for all
	b, _ := f.r.Peek(3)
	if len(b) < 3 {
		f.left = math.MaxInt64
		return nil
	}
	head := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
	f.left = 3 + int64(head>>3)
	if head>>1&3 == repeated {
		f.left = 3 + 1
	}
	if head&1 != 0 {
		f.block = false
		if f.sum {
			f.left += 4
		}
	}
	return nil
}

// done lets the next one have its turn.
func (f *frames) done() {
	if f.wide {
		f.wide = false
		<-wide
	}
}
