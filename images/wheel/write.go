package wheel

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Several cores unpack one wheel only if that is worth it: small ones are unpacked many at a time.
const parallelFrom = 32 << 20

// write makes the folders and files, then what lists them.
func (l *layout) write(dir string) error {
	if err := l.folders(dir); err != nil {
		return err
	}
	var total uint64
	for _, o := range l.order {
		if o.entry != nil {
			total += o.entry.UncompressedSize64
		}
	}
	n := 1
	if total >= parallelFrom {
		n = runtime.GOMAXPROCS(0)
	}
	work := slices.Clone(l.order)
	if n > 1 { // largest first, so that no core is left with the one large library at the end
		slices.SortStableFunc(work, func(a, b *output) int { return cmp.Compare(b.length(), a.length()) })
	}
	var next atomic.Int64
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			w := writer{dir: dir, promised: l.promised, hash: sha256.New(), buf: make([]byte, 128<<10)}
			for errs[i] == nil {
				k := int(next.Add(1)) - 1
				if k >= len(work) {
					return
				}
				errs[i] = w.file(work[k])
			}
			next.Store(int64(len(work))) // the others stop
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return l.lists(dir)
}

func (o *output) length() uint64 {
	if o.entry != nil {
		return o.entry.UncompressedSize64
	}
	return uint64(len(o.text))
}

func (l *layout) folders(dir string) error {
	need := map[string]bool{"site": true, "site/" + l.info: true}
	for _, o := range l.order {
		for d := path.Dir(o.to); d != "." && !need[d]; d = path.Dir(d) {
			need[d] = true
		}
	}
	for _, d := range slices.Sorted(maps.Keys(need)) {
		p := filepath.Join(dir, d)
		if err := os.Mkdir(p, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(p, 0o755); err != nil { // whatever the umask is: others may read this store
			return err
		}
	}
	return nil
}

// writer writes files one after the other.
type writer struct {
	dir      string
	promised map[string]recordLine
	hash     hash.Hash
	buf      []byte
}

func (w *writer) file(o *output) (err error) {
	f, err := os.OpenFile(filepath.Join(w.dir, o.to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
		if err == nil {
			err = os.Chtimes(f.Name(), Time, Time)
		}
	}()
	mode := os.FileMode(0o644)
	if o.exec {
		mode = 0o755
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if o.entry == nil {
		o.sum, o.size = sha256.Sum256(o.text), int64(len(o.text))
		_, err := f.Write(o.text)
		return err
	}
	return w.entry(f, o)
}

func (w *writer) entry(f *os.File, o *output) error {
	r, err := o.entry.Open()
	if err != nil {
		return fmt.Errorf("%q: %w", o.entry.Name, err)
	}
	defer r.Close()
	w.hash.Reset()
	var body io.Reader = io.LimitReader(r, int64(o.entry.UncompressedSize64)+1)
	if o.python {
		return w.script(f, o, body)
	}
	// struct{io.Writer} hides ReadFrom, which would not use the buffer.
	o.size, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, w.hash)}, body, w.buf)
	if err != nil {
		return fmt.Errorf("%q: %w", o.entry.Name, err)
	}
	w.hash.Sum(o.sum[:0])
	return w.promise(o.entry.Name, o.sum, o.size)
}

func (w *writer) promise(name string, sum [sha256.Size]byte, size int64) error {
	if p, ok := w.promised[name]; ok {
		return p.checkAgainst(sum, size)
	}
	return nil
}

// script copies a file of the scripts folder; "#!python" as its first line stands for the
// interpreter of the environment.
func (w *writer) script(f *os.File, o *output, body io.Reader) error {
	var size int64
	br := bufio.NewReader(io.TeeReader(body, writerFunc(func(p []byte) { w.hash.Write(p); size += int64(len(p)) })))
	out := sha256.New()
	to := io.MultiWriter(f, out)
	if b, _ := br.Peek(len("#!python")); bytes.Equal(b, []byte("#!python")) {
		line, err := br.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%q: first line: %w", o.entry.Name, err)
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(strings.TrimRight(string(line), "\r\n"), "#!python"), "w")
		n, err := io.WriteString(to, "#!"+Interpreter+rest+"\n")
		if err != nil {
			return err
		}
		o.size = int64(n)
	}
	n, err := io.Copy(to, br)
	if err != nil {
		return fmt.Errorf("%q: %w", o.entry.Name, err)
	}
	o.size += n
	out.Sum(o.sum[:0])
	var was [sha256.Size]byte
	w.hash.Sum(was[:0])
	return w.promise(o.entry.Name, was, size)
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// lists writes INSTALLER, RECORD and the list of files that [Link] works from.
func (l *layout) lists(dir string) error {
	inst := &output{to: "site/" + l.info + "/INSTALLER", text: []byte("sandbox\n")}
	w := writer{dir: dir}
	if err := w.file(inst); err != nil {
		return err
	}
	all := append(slices.Clone(l.order), inst)
	lines := []recordLine{{path: l.info + "/RECORD"}}
	for _, o := range all {
		lines = append(lines, newLine(recordPath(o.to, Normalize(l.name.Name), versionMark), o.sum, o.size))
	}
	rec := &output{to: "site/" + l.info + "/RECORD", text: formatRecord(lines)}
	if err := w.file(rec); err != nil {
		return err
	}
	all = append(all, rec)
	slices.SortFunc(all, func(a, b *output) int { return strings.Compare(a.to, b.to) })
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\n", listMagic, Normalize(l.name.Name), l.version)
	for _, o := range all {
		x := '-'
		if o.exec {
			x = 'x'
		}
		fmt.Fprintf(&b, "%c %s %d %s\n", x, hex.EncodeToString(o.sum[:]), o.size, o.to)
	}
	list := filepath.Join(dir, "files")
	if err := os.WriteFile(list, b.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Chmod(list, 0o644)
}

// versionMark stands for the Python version in the store's RECORD: only paths of headers have one.
const versionMark = "X.Y"

// recordPath gives the place of a file relative to site-packages, for RECORD.
func recordPath(to, project, python string) string {
	kind, rest, _ := strings.Cut(to, "/")
	switch kind {
	case "scripts":
		return "../../../bin/" + rest
	case "headers":
		return "../../../include/site/python" + python + "/" + project + "/" + rest
	case "data":
		return "../../../" + rest
	}
	return rest
}
