// Package unpack turns the compressed blob of a layer into a layer of the store: [Layer]. Download,
// hash, inflate, hash and extract run at once; nothing is written twice but the compressed bytes, so
// that a killed pull can go on where it was, and nothing has a final name before every digest is
// compared at the real end of both streams.
package unpack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"syscall"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/printable"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// Options are how layers are brought in.
type Options struct {
	DropBlobs bool // remove the compressed bytes when the layer is there; else they stay as a cache
	Direct    bool // open is a local file: do not copy its bytes to the blob store at all
	Limits    layer.Limits
	Log       *slog.Logger
	Report    progress.Report
	Notice    func(string) // one line for the user, of what is not as it should be; nil is silence

	// Packed, if set, is what so many bytes of the blob take where they come from, if that is compressed
	// once more: Limits.Ratio counts from there.
	Packed func(n int64) int64
}

// Body is a blob's bytes from an offset on. A [fetch.Body] is one.
type Body interface {
	io.ReadCloser
	// Joined tells whether the bytes come from more than one place, so that a clean second try is
	// worth while after wrong content.
	Joined() bool
}

// Open returns the blob from offset to its end.
type Open func(ctx context.Context, offset int64) (Body, error)

// Layer returns l from st; if st lacks it, it is made from the blob that st has, or from open. name
// is what errors and progress call it.
func Layer(ctx context.Context, st *store.Store, l oci.Layer, name string, open Open, o Options) (store.Layer, error) {
	key := l.DiffID.Hex()
	if have, ok := st.Layer(ctx, key); ok {
		return have, nil
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for try := 0; ; try++ {
		j := &job{st: st, l: l, name: name, open: open, o: o}
		got, _, err := st.MakeLayer(ctx, key, func(dir string) error { return j.run(ctx, dir) })
		switch {
		case err == nil:
			return got, nil
		case j.again && try == 0 && ctx.Err() == nil:
			o.Log.Warn("layer was put together wrongly, fetching it again", "layer", name, "err", err)
			j.notice("what an earlier run had kept of it was damaged, it is fetched again")
		default:
			return store.Layer{}, err
		}
	}
}

type job struct {
	st    *store.Store
	l     oci.Layer
	name  string
	open  Open
	o     Options
	again bool // the failure may be that of an earlier run
}

// run fills dir, which becomes the layer when it returns nil.
func (j *job) run(all context.Context, dir string) error {
	ctx, cancel := context.WithCancelCause(all)
	defer cancel(nil)
	in, err := j.intake(ctx)
	if err != nil {
		return err
	}
	defer in.close()
	err = j.extract(ctx, cancel, in, dir)
	switch {
	case err == nil:
		// A plain tar can be put together again from the layer; keeping it would double the layer.
		if !j.o.Direct && (j.o.DropBlobs || j.l.Digest == j.l.DiffID) {
			in.discard(j.st)
		}
		j.o.Report.Do("pull", j.name, in.count.Load(), in.count.Load())
		return store.NoteDiffID(dir, j.l.DiffID)
	case wrongContent(err):
		var limit *layer.LimitError
		j.again = in.distrust(all, j.st) && !errors.As(err, &limit)
	}
	return err
}

// extract is the pipeline: in → relay → inflate → relay → hash and apply.
func (j *job) extract(ctx context.Context, cancel context.CancelCauseFunc, in *intake, dir string) error {
	first := newRelay(in)
	defer first.close()
	defer cancel(nil) // before close: what blocks in a read must end
	plain, closeDecoder, err := inflate(ctx, source{first})
	if err != nil {
		return j.reason(ctx, err, in, first)
	}
	defer closeDecoder()
	second := newRelay(plain)
	diff := sha256.New()
	info, err := layer.Apply(ctx, io.TeeReader(second, diff), dir, layer.ApplyOptions{Log: j.o.Log, Limits: j.o.Limits, Packed: j.packed(in)})
	if err != nil && !j.worthDraining(ctx, err, in) {
		cancel(errEnough)
	}
	second.close()
	if err != nil {
		return j.reason(ctx, err, in, first)
	}
	if n, err := first.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return j.reason(ctx, &corruptError{errors.New("bytes after the end")}, in, first)
	}
	err = j.compare(in, diff)
	if err == nil && info.Odd != "" {
		j.notice(info.Odd + "; -v names the first")
	}
	return err
}

func (j *job) notice(s string) {
	if j.o.Notice != nil {
		j.o.Notice(j.name + ": " + s)
	}
}

// packed counts the compressed bytes that were read.
func (j *job) packed(in *intake) func() int64 {
	if j.o.Packed == nil {
		return in.count.Load
	}
	return func() int64 { return j.o.Packed(in.count.Load()) }
}

// maxDrain is how many compressed bytes are still read after a failure to learn its reason.
const maxDrain = 8 << 20

func (j *job) worthDraining(ctx context.Context, err error, in *intake) bool {
	var s *sourceError
	var space *store.SpaceError
	return ctx.Err() == nil && !errors.As(err, &s) && !errors.As(store.Space(err, "", ""), &space) && in.size-in.count.Load() <= maxDrain
}

// reason prefers what went wrong below: a blob that is not what was promised explains whatever the
// decoder or the archive reader made of it.
func (j *job) reason(ctx context.Context, err error, in *intake, first *relay) error {
	var s *sourceError
	if errors.As(err, &s) {
		return s.err
	}
	if j.worthDraining(ctx, err, in) {
		_, below := io.CopyN(io.Discard, first, maxDrain+4*bufferSize)
		if below == io.EOF {
			below = in.verify() // where there is no partial blob nobody has compared yet
		}
		if below != nil {
			return below
		}
	}
	err = fmt.Errorf("%s: %w", j.name, printable.Error(err, 600)) // names in the tar are of any length
	var errno syscall.Errno
	if told := context.Cause(ctx); (told == nil || told == errEnough) && !errors.As(err, &errno) {
		err = &brokenError{err} // not the machine's fault
	}
	return err
}

// errEnough ends what is still under way when the layer is known to be wrong.
var errEnough = errors.New("the layer is wrong")

// brokenError is a layer that cannot be unpacked.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

func (j *job) compare(in *intake, diff hash.Hash) error {
	if err := in.verify(); err != nil {
		return err
	}
	if got := sum(diff); got != j.l.DiffID {
		return &fetch.HashError{Name: j.name + " (unpacked)", Want: string(j.l.DiffID), Got: string(got)}
	}
	return nil
}

func sum(h hash.Hash) store.Digest { return store.Digest("sha256:" + hex.EncodeToString(h.Sum(nil))) }

func wrongContent(err error) bool {
	var h *fetch.HashError
	var s *fetch.SizeError
	var c *brokenError
	return errors.As(err, &h) || errors.As(err, &s) || errors.As(err, &c)
}
