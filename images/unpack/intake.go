package unpack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// intake is the compressed bytes of one blob, whatever of it is already on the disk first. It hashes
// what it hands out and writes what is new to the partial blob.
type intake struct {
	ctx    context.Context
	name   string
	digest store.Digest
	size   int64
	report progress.Report
	count  atomic.Int64 // bytes handed out; another stage reads it

	disk io.Reader         // what is there already; nil once it is read
	w    *store.BlobWriter // takes the rest, and hashes; nil where the bytes are not kept
	h    hash.Hash         // hashes where there is no w
	open func() (Body, error)
	body Body
	done []io.Closer
}

// intake chooses where the bytes come from: the blob store, a partial blob and then open, or open
// alone. A blob that goes away between two looks counts as one that was never there.
func (j *job) intake(ctx context.Context) (*intake, error) {
	in := &intake{ctx: ctx, name: j.name, digest: j.l.Digest, size: j.l.Size, report: j.o.Report}
	if ok, err := in.fromStore(j.st); ok || err != nil {
		return in, err
	}
	if j.open == nil {
		return nil, fmt.Errorf("%s: %w", j.name, store.ErrNotFound)
	}
	in.open = func() (Body, error) { return j.open(ctx, in.count.Load()) }
	if j.o.Direct {
		in.h = sha256.New()
		return in, nil
	}
	for {
		w, err := j.st.NewBlob(ctx, j.l.Digest, j.l.Size)
		if errors.Is(err, store.ErrExists) { // somebody else has brought it meanwhile
			if ok, err := in.fromStore(j.st); ok || err != nil {
				return in, err
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", j.name, err)
		}
		in.w, in.done = w, append(in.done, w)
		if n := w.Offset(); n > 0 {
			in.disk = io.NewSectionReader(w, 0, n)
		}
		return in, nil
	}
}

// fromStore takes the blob that st has; false where it has none.
func (in *intake) fromStore(st *store.Store) (bool, error) {
	if !st.HasBlob(in.ctx, in.digest, in.size) {
		return false, nil
	}
	f, err := st.OpenBlob(in.ctx, in.digest)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", in.name, err)
	}
	in.disk, in.h, in.open = f, sha256.New(), nil
	in.done = append(in.done, f)
	return true, nil
}

// Read is called from one goroutine, the first stage's. What lies on the disk ends with the context, as
// what comes from elsewhere does.
func (in *intake) Read(p []byte) (int, error) {
	if err := in.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := in.read(p)
	total := in.count.Add(int64(n))
	if n > 0 && total != in.size {
		in.report.Do("pull", in.name, total, in.size)
	}
	return n, err
}

func (in *intake) read(p []byte) (int, error) {
	if in.disk != nil {
		n, err := in.disk.Read(p)
		if in.h != nil {
			in.h.Write(p[:n])
		}
		if n > 0 || err == nil {
			return n, nil
		}
		if err != io.EOF {
			return 0, err
		}
		in.disk = nil
	}
	if in.open == nil {
		return 0, io.EOF
	}
	if in.body == nil {
		body, err := in.open()
		if err != nil {
			return 0, err
		}
		in.body, in.done = body, append(in.done, body)
	}
	n, err := in.body.Read(p)
	if in.w == nil {
		in.h.Write(p[:n])
		return n, err
	}
	if _, werr := in.w.Write(p[:n]); werr != nil {
		return n, werr
	}
	if err == io.EOF {
		err = in.commit()
	}
	return n, err
}

// commit gives the complete blob its name while the other stages still work on its bytes, so that
// syncing it costs no time of its own. io.EOF is success.
func (in *intake) commit() error {
	err := in.w.Commit()
	var d *store.DigestError
	var z *store.SizeError
	switch {
	case err == nil:
		return io.EOF
	case errors.As(err, &d):
		return &fetch.HashError{Name: in.name, Want: string(d.Want), Got: string(d.Got)}
	case errors.As(err, &z):
		return &fetch.SizeError{Name: in.name, Want: z.Want, Got: z.Got}
	}
	return err
}

// verify compares size and digest at the end of a stream that has no partial blob.
func (in *intake) verify() error {
	n := in.count.Load()
	if in.size >= 0 && n != in.size {
		return &fetch.SizeError{Name: in.name, Want: in.size, Got: n}
	}
	if in.h != nil {
		if got := sum(in.h); got != in.digest {
			return &fetch.HashError{Name: in.name, Want: string(in.digest), Got: string(got)}
		}
	}
	return nil
}

// joined tells whether the bytes came from more than one place.
func (in *intake) joined() bool {
	return in.open == nil || in.body == nil || in.body.Joined()
}

// discard removes the compressed bytes: they turned out wrong, or are not wanted any more.
func (in *intake) discard(st *store.Store) {
	if in.w != nil {
		in.w.Discard()
	}
	if in.w != nil || in.open == nil {
		st.RemoveBlob(in.digest)
	}
}

// distrust removes bytes that turned out wrong. A blob that was in the store before only goes if it is not what
// its digest says: what a stranger's documents say about it is no reason to take it from others. It is
// true if another try can change something.
func (in *intake) distrust(ctx context.Context, st *store.Store) bool {
	if in.w == nil && in.open == nil {
		return !st.Recheck(ctx, in.digest)
	}
	again := in.joined()
	in.discard(st)
	return again
}

func (in *intake) close() {
	for _, c := range in.done {
		c.Close()
	}
}
