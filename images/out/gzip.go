package out

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/klauspost/compress/flate"
)

// The frozen encoder of layer format 1. To change any of this, or to take a version of the library that
// gives other bytes, is to make another layer format: the golden test says so.
const (
	gzipChunk  = 1 << 20  // bytes that are compressed at once, each chunk on its own
	gzipWindow = 32 << 10 // bytes of the chunk before that a chunk may refer to
	gzipLevel  = 3
)

// Magic, deflate, no flags, no time, no extra flags, unknown system.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// NewGzip returns a compressor: one gzip member whose bytes depend on what is written alone, not on the
// machine, on how many processors work at it, or on how it is cut into calls of Write. Close writes the
// end; it does not close w.
func NewGzip(w io.Writer) io.WriteCloser {
	g := &gzipWriter{w: w, queue: make(chan *piece, runtime.GOMAXPROCS(0)), end: make(chan error, 1), buf: make([]byte, 0, gzipChunk)}
	go g.emit()
	return g
}

type gzipWriter struct {
	w      io.Writer
	queue  chan *piece // in order; its length bounds how many are worked at
	end    chan error
	buf    []byte // the chunk that is being filled
	before []byte // the end of the one before it
	crc    uint32
	size   uint32
	closed bool
}

// piece is one chunk on its way through a compressor of its own.
type piece struct {
	in, before []byte
	last       bool
	out        bytes.Buffer
	done       chan error
}

var errClosed = errors.New("written after the end")

// Write takes bytes in; errors of the writer below come with Close.
func (g *gzipWriter) Write(p []byte) (int, error) {
	if g.closed {
		return 0, errClosed
	}
	n := len(p)
	g.crc = crc32.Update(g.crc, crc32.IEEETable, p)
	g.size += uint32(n)
	for len(p) > 0 {
		if len(g.buf) == gzipChunk {
			g.submit(false)
		}
		k := min(len(p), gzipChunk-len(g.buf))
		g.buf = append(g.buf, p[:k]...)
		p = p[k:]
	}
	return n, nil
}

func (g *gzipWriter) submit(last bool) {
	p := &piece{in: g.buf, before: g.before, last: last, done: make(chan error, 1)}
	g.queue <- p
	go p.compress()
	if !last {
		g.before = g.buf[len(g.buf)-gzipWindow:]
		g.buf = make([]byte, 0, gzipChunk)
	}
}

// compress ends every chunk but the last at a byte, so that they can be joined.
func (p *piece) compress() {
	f, err := flate.NewWriterDict(&p.out, gzipLevel, p.before)
	if err == nil {
		_, err = f.Write(p.in)
	}
	switch {
	case err != nil:
	case p.last:
		err = f.Close()
	default:
		err = f.Flush()
	}
	p.done <- err
}

// emit writes the pieces in their order. After an error it goes on taking them, so that nobody waits.
func (g *gzipWriter) emit() {
	_, err := g.w.Write(gzipHeader)
	for p := range g.queue {
		if perr := <-p.done; err == nil {
			err = perr
		}
		if err == nil {
			_, err = g.w.Write(p.out.Bytes())
		}
	}
	g.end <- err
}

// Close writes what is left and the check sum.
func (g *gzipWriter) Close() error {
	if g.closed {
		return errClosed
	}
	g.submit(true)
	g.closed = true
	close(g.queue)
	if err := <-g.end; err != nil {
		return err
	}
	var tail [8]byte
	binary.LittleEndian.PutUint32(tail[:4], g.crc)
	binary.LittleEndian.PutUint32(tail[4:], g.size)
	_, err := g.w.Write(tail[:])
	return err
}
