package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/store"
)

// Pack writes the canonical tar of the tree fs: the same tree gives the same bytes, whoever packs it.
// Names are sorted, all times are o.Epoch, there are no user names and no access times, and PAX records
// only where a name, number or attribute needs them. Whiteouts and opaque folders become ".wh." entries;
// sockets are left out. The end of ctx ends it, with ctx's error; so it does for List and DiffID.
func Pack(ctx context.Context, w io.Writer, fs string, o PackOptions) error {
	return pack(ctx, w, nil, fs, o)
}

// List writes the canonical list of the tree fs, a line for each entry of its tar with the sha256 of
// files: what to compare when two digests differ.
func List(ctx context.Context, w io.Writer, fs string, o PackOptions) error {
	return pack(ctx, nil, w, fs, o)
}

// DiffID computes the digests of a tree that was built here.
func DiffID(ctx context.Context, fs string, o PackOptions) (Digests, error) {
	t := &counter{h: sha256.New()}
	l := &counter{h: sha256.New()}
	if err := pack(ctx, t, l, fs, o); err != nil {
		return Digests{}, err
	}
	return Digests{DiffID: store.FromSum(t.h.Sum(nil)), Files: store.FromSum(l.h.Sum(nil)), Bytes: t.n}, nil
}

type counter struct {
	h hash.Hash
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.h.Write(p)
}

// item is a node on its way from the walker, by way of a reader if it is a file, to the writer.
type item struct {
	*node
	data  []byte // all of it, if small
	sum   []byte
	err   error
	ready sync.WaitGroup
}

// Files up to this are read ahead.
const readAhead = 256 << 10

// pack walks in one goroutine, reads and hashes files in others, and writes in order in this one.
func pack(ctx context.Context, tarTo, listTo io.Writer, fs string, o PackOptions) error {
	items := make(chan *item, 48)
	jobs := make(chan *item, 48)
	stop := make(chan struct{})
	var walkErr error
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for it := range jobs {
				it.read(ctx, listTo != nil)
				it.ready.Done()
			}
		})
	}
	go func() {
		defer close(items)
		defer close(jobs)
		walkErr = walkTree(ctx, fs, o, func(n *node) error {
			it := &item{node: n}
			if n.kind == 'f' {
				it.ready.Add(1)
				jobs <- it
			}
			select {
			case items <- it:
				return nil
			case <-stop:
				it.release()
				return errStopped
			}
		})
	}()
	p := newPacker(ctx, tarTo, listTo, o)
	var err error
	for it := range items {
		if err == nil {
			if err = p.item(it); err != nil {
				close(stop)
			}
		}
		it.release()
	}
	readers.Wait()
	if err != nil {
		return err
	}
	if walkErr != nil {
		return walkErr
	}
	return p.close()
}

var errStopped = errors.New("stopped")

// release closes the file when its reader is done with it.
func (it *item) release() {
	if it.kind == 'f' {
		it.ready.Wait()
		unix.Close(it.fd)
	}
}

// read takes in a small file, and hashes any.
func (it *item) read(ctx context.Context, sum bool) {
	if it.size > readAhead && !sum {
		return
	}
	h := sha256.New()
	buf := make([]byte, min(it.size, readAhead))
	for off := int64(0); off < it.size; {
		n, err := preadFull(ctx, it.fd, buf[:min(int64(len(buf)), it.size-off)], off)
		if err != nil {
			it.err = fmt.Errorf("read %q: %w", it.path, err)
			return
		}
		off += int64(n)
		if sum {
			h.Write(buf[:n])
		}
	}
	if it.size <= readAhead {
		it.data = buf
	}
	if sum {
		it.sum = h.Sum(nil)
	}
}

// preadFull fails if the file is shorter: then it changed while it was packed.
func preadFull(ctx context.Context, fd int, b []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	done := 0
	for done < len(b) {
		n, err := unix.Pread(fd, b[done:], off+int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, err
		case n == 0:
			return done, io.ErrUnexpectedEOF
		default:
			done += n
		}
	}
	return done, nil
}

type packer struct {
	ctx  context.Context
	o    PackOptions
	tw   *tar.Writer
	out  *bufio.Writer
	list *bufio.Writer
	buf  []byte
}

func newPacker(ctx context.Context, tarTo, listTo io.Writer, o PackOptions) *packer {
	p := &packer{ctx: ctx, o: o}
	if tarTo != nil {
		p.out = bufio.NewWriterSize(tarTo, 128<<10)
		p.tw = tar.NewWriter(p.out)
	}
	if listTo != nil {
		p.list = bufio.NewWriterSize(listTo, 64<<10)
	}
	return p
}

func (p *packer) close() error {
	var err error
	if p.tw != nil {
		err = errors.Join(p.tw.Close(), p.out.Flush())
	}
	if p.list != nil {
		err = errors.Join(err, p.list.Flush())
	}
	return err
}

func (p *packer) item(it *item) error {
	if p.tw != nil {
		if err := p.tw.WriteHeader(p.header(it.node)); err != nil {
			return fmt.Errorf("pack %q: %w", it.path, err)
		}
		if it.kind == 'f' {
			if err := p.contents(it); err != nil {
				return err
			}
		}
	}
	if p.list != nil {
		if it.kind == 'f' {
			it.ready.Wait()
			if it.err != nil {
				return it.err
			}
		}
		if _, err := p.list.Write(listLine(it)); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) contents(it *item) error {
	if it.size <= readAhead {
		it.ready.Wait()
		if it.err != nil {
			return it.err
		}
		_, err := p.tw.Write(it.data)
		return err
	}
	if p.buf == nil {
		p.buf = make([]byte, 256<<10)
	}
	for off := int64(0); off < it.size; {
		n, err := preadFull(p.ctx, it.fd, p.buf[:min(int64(len(p.buf)), it.size-off)], off)
		if err != nil {
			return fmt.Errorf("read %q: %w", it.path, err)
		}
		off += int64(n)
		if _, err := p.tw.Write(p.buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) header(n *node) *tar.Header {
	h := &tar.Header{
		Name: n.path, Linkname: n.link, Size: n.size, Mode: int64(n.mode), Uid: n.uid, Gid: n.gid,
		ModTime: time.Unix(p.o.Epoch, 0), Devmajor: n.major, Devminor: n.minor,
	}
	switch n.kind {
	case 'f':
		h.Typeflag = tar.TypeReg
	case 'd':
		h.Typeflag, h.Name = tar.TypeDir, n.path+"/"
		if n.path == "" {
			h.Name = "./"
		}
	case 'l':
		h.Typeflag = tar.TypeSymlink
	case 'h':
		h.Typeflag = tar.TypeLink
	case 'c':
		h.Typeflag = tar.TypeChar
	case 'b':
		h.Typeflag = tar.TypeBlock
	case 'p':
		h.Typeflag = tar.TypeFifo
	case 'w':
		dir, base := split(n.path)
		h.Typeflag, h.Name = tar.TypeReg, join(dir, whPrefix+base)
	case 'o':
		h.Typeflag, h.Name = tar.TypeReg, join(n.path, whOpaque)
	}
	if len(n.xattrs) > 0 {
		h.PAXRecords = map[string]string{}
		for k, v := range n.xattrs {
			h.PAXRecords["SCHILY.xattr."+k] = v
		}
	}
	return h
}

// listLine is one line: kind, mode, owner, what else there is, the quoted path.
func listLine(it *item) []byte {
	b := []byte{it.kind}
	switch it.kind {
	case 'w', 'o', 'h':
	default:
		b = fmt.Appendf(b, " %04o %d %d", it.mode, it.uid, it.gid)
	}
	switch it.kind {
	case 'f':
		b = fmt.Appendf(b, " %d %x", it.size, it.sum)
	case 'c', 'b':
		b = fmt.Appendf(b, " %d %d", it.major, it.minor)
	}
	b = append(b, ' ')
	b = strconv.AppendQuoteToASCII(b, it.path)
	if it.kind == 'l' || it.kind == 'h' {
		b = append(b, ' ')
		b = strconv.AppendQuoteToASCII(b, it.link)
	}
	names := make([]string, 0, len(it.xattrs))
	for n := range it.xattrs {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		b = append(b, ' ')
		b = strconv.AppendQuoteToASCII(b, n)
		b = append(b, '=')
		b = base64.StdEncoding.AppendEncode(b, []byte(it.xattrs[n]))
	}
	return append(b, '\n')
}

// checkBuilt compares a built layer with what was noted when it was made.
func checkBuilt(ctx context.Context, l store.Layer) error {
	want := l.Files()
	if want == "" {
		return nil
	}
	owners, err := ReadOwners(l.Dir)
	if err != nil {
		return err
	}
	for _, noLinks := range []bool{false, true} {
		h := sha256.New()
		if err := List(ctx, h, l.FS, PackOptions{Owners: owners, NoHardlinks: noLinks}); err != nil {
			return err
		}
		if store.FromSum(h.Sum(nil)) == want {
			return nil
		}
	}
	return errors.New("the files are not those that were built")
}
