package layer

import "sync/atomic"

// entry is one thing to make in the tree.
type entry struct {
	name   string // clean
	link   string
	kind   byte // a type flag of tar
	mode   uint32
	uid    int
	gid    int
	sec    int64
	nsec   int64
	size   int64
	major  int64
	minor  int64
	record int // number of its F record, 0 if it has none
	xattrs map[string]string
}

// op is an entry with the beginning of its contents, or with more set, the next part of them.
type op struct {
	entry
	data []byte
	more bool
	last bool
}

// batch holds what is handed over at once; the data of its ops lies in buf.
type batch struct {
	buf  []byte
	used int
	ops  []op
}

const (
	batchBytes = 512 << 10
	batchOps   = 256
	batches    = 3
)

// pipe is how two goroutines share the work: one reads and hashes, the other makes files.
type pipe struct {
	cur  *batch
	full chan *batch
	free chan *batch
	done chan struct{}
	err  atomic.Pointer[error]
}

func startPipe(x *extractor) *pipe {
	p := &pipe{full: make(chan *batch, batches), free: make(chan *batch, batches), done: make(chan struct{})}
	p.cur = &batch{buf: make([]byte, batchBytes), ops: make([]op, 0, batchOps)}
	for range batches - 1 {
		p.free <- nil // made when first needed: small layers need only one
	}
	go p.run(x)
	return p
}

// run does everything in order; after an error it only takes in what still comes.
func (p *pipe) run(x *extractor) {
	defer close(p.done)
	for b := range p.full {
		for i := range b.ops {
			if p.err.Load() != nil {
				break
			}
			if err := x.do(&b.ops[i]); err != nil {
				p.err.Store(&err)
			}
		}
		clear(b.ops)
		b.used, b.ops = 0, b.ops[:0]
		p.free <- b
	}
}

func (p *pipe) failed() error {
	if e := p.err.Load(); e != nil {
		return *e
	}
	return nil
}

// space is memory for up to n more bytes of contents. A file that fits into a batch is not cut.
func (p *pipe) space(n int64) ([]byte, error) {
	room := batchBytes - p.cur.used
	if int64(room) < n && (n <= batchBytes || room < batchBytes/4) {
		p.send()
		room = batchBytes
	}
	n = min(n, int64(room))
	return p.cur.buf[p.cur.used : p.cur.used+int(n)], p.failed()
}

// put hands on an op. data is what space gave last, filled.
func (p *pipe) put(e *entry, data []byte, more, last bool) error {
	p.cur.ops = append(p.cur.ops, op{entry: *e, data: data, more: more, last: last})
	p.cur.used += len(data)
	if len(p.cur.ops) == batchOps || p.cur.used == batchBytes {
		p.send()
	}
	return p.failed()
}

func (p *pipe) send() {
	p.full <- p.cur
	p.cur = <-p.free
	if p.cur == nil {
		p.cur = &batch{buf: make([]byte, batchBytes), ops: make([]op, 0, batchOps)}
	}
}

// finish waits until everything is done.
func (p *pipe) finish() error {
	p.full <- p.cur
	close(p.full)
	<-p.done
	return p.failed()
}
