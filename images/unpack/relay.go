package unpack

import (
	"io"
	"sync"
)

// Buffers between the stages: large enough that a hand-over costs nothing beside the work on its
// bytes, few enough that all layers in flight stay below some tens of megabytes.
const (
	bufferSize  = 256 << 10
	bufferCount = 4
)

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// relay reads ahead in a goroutine of its own, so that two stages of the work run at once.
type relay struct {
	full chan *[]byte
	free chan struct{}
	stop chan struct{}
	done chan struct{}
	err  error // why the source ended; set before full is closed

	buf *[]byte // being consumed
	cur []byte  // what is left of it
}

// newRelay begins to read r. stop must be called.
func newRelay(r io.Reader) *relay {
	p := &relay{full: make(chan *[]byte, bufferCount), free: make(chan struct{}, bufferCount), stop: make(chan struct{}), done: make(chan struct{})}
	for range bufferCount {
		p.free <- struct{}{}
	}
	go p.run(r)
	return p
}

func (p *relay) run(r io.Reader) {
	defer close(p.done)
	defer close(p.full)
	for {
		select {
		case <-p.free:
		case <-p.stop:
			p.err = io.ErrClosedPipe
			return
		}
		buf := buffers.Get().(*[]byte)
		n, err := fill(r, (*buf)[:bufferSize])
		*buf = (*buf)[:n]
		if n > 0 {
			p.full <- buf // never blocks: there are as many places as buffers
		} else {
			buffers.Put(buf)
		}
		if err != nil {
			p.err = err
			return
		}
	}
}

// fill reads until p is full, and keeps the reader's own error.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// Read copies bytes out.
func (p *relay) Read(b []byte) (int, error) {
	if len(p.cur) == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.cur)
	p.cur = p.cur[n:]
	return n, nil
}

// next takes the next buffer.
func (p *relay) next() error {
	if p.buf != nil {
		buffers.Put(p.buf)
		p.buf = nil
		p.free <- struct{}{}
	}
	buf, ok := <-p.full
	if !ok {
		return p.err
	}
	p.buf, p.cur = buf, *buf
	return nil
}

// close ends the goroutine. The source must not block for ever: its context is ended first.
func (p *relay) close() {
	close(p.stop)
	<-p.done
	if p.buf != nil {
		buffers.Put(p.buf)
	}
	for buf := range p.full {
		buffers.Put(buf)
	}
}
