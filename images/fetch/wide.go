package fetch

import (
	"context"
	"io"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// A Wide lets one download at a time have several connections. It helps where a server or the way to it
// gives each connection less than the line could take, and a single large file is most of what is missing. Safe for
// concurrent use.
type Wide struct {
	one         chan struct{}
	part, probe int64
	share       float64
	busy        func() float64 // seconds of processor time that this process has used
}

// NewWide returns a Wide for the downloads that go on together.
func NewWide() *Wide {
	return &Wide{make(chan struct{}, 1), partSize, partSize, wideWaited, processorTime}
}

const (
	partSize   = 2 << 20 // bytes of one request; as many tell what holds a download up
	partCount  = 4       // at once; each is held in memory until its turn comes
	wideLeast  = 16      // parts that must be missing
	wideWaited = 0.6     // share of the time that was spent waiting for the server
	wideBusy   = 0.5     // share of the processors: who uses more waits for itself, not for the server
)

// WideBody is a [Body] that goes on with several connections once it has seen that it waits for the server
// most of the time, and with one again when a part fails. It is for one goroutine.
type WideBody struct {
	c   *Client
	ctx context.Context
	req Request
	w   *Wide

	off    int64
	one    *Body // the single connection; nil while parts are read
	parts  []*part
	next   int64 // where the part after the last one begins
	joined bool

	held  bool // w is ours
	never bool // it failed, or cannot be

	// What held the single connection up, since the first of these bytes.
	since  int64
	begun  time.Time
	waited time.Duration
	used   float64 // of the processors, by then

	inner   context.Context // of the parts
	stopAll context.CancelFunc
}

// OpenWide is [Client.Open] for a file of known size; w may be nil.
func (c *Client) OpenWide(ctx context.Context, r Request, w *Wide) *WideBody {
	return &WideBody{c: c, ctx: ctx, req: r, w: w, off: r.Offset, one: c.Open(ctx, r), never: w == nil || r.Size < 0}
}

// Joined is [Body.Joined].
func (b *WideBody) Joined() bool { return b.joined || b.one != nil && b.one.Joined() }

// Close ends all connections. It must be called.
func (b *WideBody) Close() error {
	b.narrow()
	if b.one != nil {
		return b.one.Close()
	}
	return nil
}

// Read brings the next bytes; io.EOF means that the size is as promised.
func (b *WideBody) Read(p []byte) (int, error) {
	if len(b.parts) > 0 {
		if n, err := b.readPart(p); n > 0 || err != nil {
			return n, err
		}
	}
	if b.one == nil { // after the last part, or after one that failed
		r := b.req
		r.Offset = b.off
		b.one = b.c.Open(b.ctx, r)
	}
	if len(b.parts) > 0 { // up to where these begin
		p = p[:min(int64(len(p)), b.parts[0].from-b.off)]
	}
	asked := time.Now()
	n, err := b.one.Read(p)
	b.waited += time.Since(asked)
	b.off += int64(n)
	if !b.never && b.begun.IsZero() { // after the first answer: how long that took says nothing about what follows
		b.begun, b.since, b.waited, b.used = time.Now(), b.off, 0, b.w.busy()
	}
	if err == nil {
		b.widen()
	}
	return n, err
}

// readPart gives bytes of the first part if it is its turn, or nothing if the single connection is to be read.
func (b *WideBody) readPart(p []byte) (int, error) {
	first := b.parts[0]
	if first.from > b.off {
		return 0, nil
	}
	if b.one != nil {
		b.one.Close()
		b.one = nil
	}
	n, err := first.read(p, int(b.off-first.from))
	b.off += int64(n)
	switch {
	case n > 0 || len(p) == 0:
		return n, nil
	case b.ctx.Err() != nil:
		return 0, b.ctx.Err()
	case err == io.EOF:
		<-first.done
		first.free()
		b.parts = b.parts[1:]
		b.more()
		if len(b.parts) > 0 {
			return b.readPart(p)
		}
		b.narrow()
		return 0, nil
	}
	b.c.o.Log.Info("going on with one connection", "name", b.req.Name, "offset", b.off, "err", err)
	b.never = true
	b.narrow()
	return 0, nil
}

// widen begins with parts where that helps and nobody else does.
func (b *WideBody) widen() {
	if b.never || b.held || b.off-b.since < b.w.probe {
		return
	}
	took := time.Since(b.begun)
	waits := float64(b.waited) > b.w.share*float64(took) && b.w.busy()-b.used < wideBusy*took.Seconds()*float64(runtime.GOMAXPROCS(0))
	b.begun = time.Time{} // look again at what comes next
	if !waits || b.req.Size-b.off < wideLeast*b.w.part {
		return
	}
	select {
	case b.w.one <- struct{}{}:
	default:
		return
	}
	b.held, b.joined, b.next = true, true, b.off+b.w.part
	b.c.o.Log.Info("going on with several connections", "name", b.req.Name, "offset", b.off)
	b.more()
}

// processorTime is 0 where it cannot be told.
func processorTime() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// more starts parts up to their number.
func (b *WideBody) more() {
	if b.inner == nil {
		b.inner, b.stopAll = context.WithCancel(b.ctx)
	}
	for len(b.parts) < partCount && b.next < b.req.Size {
		r := b.req
		r.Offset, r.end = b.next, min(b.next+b.w.part, b.req.Size)
		b.next = r.end
		b.parts = append(b.parts, startPart(b.c.Open(b.inner, r), r.Offset, int(r.end-r.Offset)))
	}
}

// narrow ends the parts, and lets others have several connections.
func (b *WideBody) narrow() {
	if b.inner != nil {
		b.stopAll()
	}
	for _, p := range b.parts {
		<-p.done
		p.free()
	}
	b.parts = nil
	if b.held {
		b.held = false
		<-b.w.one
	}
}

// part is one range on its way into memory.
type part struct {
	from int64
	mem  *[partSize]byte
	buf  []byte // of mem
	body *Body

	mu   sync.Mutex
	news sync.Cond
	n    int
	err  error // io.EOF when all is there
	done chan struct{}
}

// Buffers are used again: the garbage of a large file would be as large as it.
var partBuffers = sync.Pool{New: func() any { return new([partSize]byte) }}

func startPart(body *Body, from int64, size int) *part {
	mem := partBuffers.Get().(*[partSize]byte)
	p := &part{from: from, mem: mem, buf: mem[:size], body: body, done: make(chan struct{})}
	p.news.L = &p.mu
	go p.run()
	return p
}

func (p *part) run() {
	defer close(p.done)
	defer p.body.Close()
	for n := 0; ; {
		m, err := p.body.Read(p.buf[n:])
		n += m
		if err == nil && n == len(p.buf) {
			_, err = p.body.Read(make([]byte, 1)) // its end, so that the connection can be used again
		}
		p.mu.Lock()
		p.n, p.err = n, err
		p.news.Signal()
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// read waits for bytes behind the first at. io.EOF is the end of the part.
func (p *part) read(b []byte, at int) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.n == at && p.err == nil {
		p.news.Wait()
	}
	if p.n == at {
		return 0, p.err
	}
	return copy(b, p.buf[at:p.n]), nil
}

// free gives the memory of a part back that is done and was read.
func (p *part) free() { partBuffers.Put(p.mem) }
