package wheel

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"
)

// Limits on what one wheel may be. The largest real wheels have some 30,000 files and unpack to 5 GB.
const (
	maxEntries  = 500_000
	maxUnpacked = 64 << 30
	maxMeta     = 32 << 20 // one metadata file that is read into memory
	maxName     = 1024
	maxPart     = 255
)

// archive is an opened wheel whose directory has been checked: every name is a clean relative path,
// no name is there twice, everything is a regular file, and the sizes are within the limits.
type archive struct {
	f     *os.File
	files []*zip.File
	names map[string]*zip.File
}

func openArchive(path string) (*archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	a := &archive{f: f, names: map[string]*zip.File{}}
	if err := a.read(); err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

func (a *archive) Close() error { return a.f.Close() }

func (a *archive) read() error {
	fi, err := a.f.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("not a regular file")
	}
	z, err := zip.NewReader(a.f, fi.Size())
	if err != nil {
		return err
	}
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser { return flate.NewReader(r) })
	if len(z.File) > maxEntries {
		return fmt.Errorf("too many files: %d", len(z.File))
	}
	var packed, size uint64
	for _, e := range z.File {
		if err := a.add(e); err != nil {
			return err
		}
		packed += e.CompressedSize64
		size += e.UncompressedSize64
		// Entries that share their data, which is how small archives unpack to petabytes, together
		// claim more than the file holds.
		if packed > uint64(fi.Size()) {
			return fmt.Errorf("entries overlap: they claim more than the file's %d bytes", fi.Size())
		}
		if size > maxUnpacked || e.UncompressedSize64 > maxUnpacked {
			return fmt.Errorf("unpacks to more than %d bytes", int64(maxUnpacked))
		}
		// Deflate cannot do better than 1032:1.
		if e.UncompressedSize64 > 1100*e.CompressedSize64+1024 {
			return fmt.Errorf("%q: claims to unpack to %d bytes from %d", e.Name, e.UncompressedSize64, e.CompressedSize64)
		}
	}
	return a.noFileAboveFile()
}

func (a *archive) add(e *zip.File) error {
	name, dir := strings.CutSuffix(e.Name, "/")
	if err := checkPath(name); err != nil {
		return err
	}
	if e.Flags&1 != 0 {
		return fmt.Errorf("%q: encrypted", e.Name)
	}
	// Folders come into being with their files.
	if dir || e.Mode().IsDir() {
		if e.UncompressedSize64 != 0 {
			return fmt.Errorf("%q: a folder with content", e.Name)
		}
		return nil
	}
	if t := e.Mode() & fs.ModeType; t != 0 {
		return fmt.Errorf("%q: not a regular file", e.Name)
	}
	if a.names[name] != nil {
		return fmt.Errorf("%q: twice in the archive", name)
	}
	a.names[name] = e
	a.files = append(a.files, e)
	return nil
}

func (a *archive) noFileAboveFile() error {
	for name := range a.names {
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
			if a.names[name[:i]] != nil {
				return fmt.Errorf("%q: file and folder at once", name[:i])
			}
		}
	}
	return nil
}

// checkPath allows clean relative paths in printable UTF-8 alone.
func checkPath(p string) error {
	if p == "" || len(p) > maxName || !utf8.ValidString(p) {
		return fmt.Errorf("not a usable path: %.80q", p)
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." || len(part) > maxPart {
			return fmt.Errorf("not a usable path: %.80q", p)
		}
	}
	for i := 0; i < len(p); i++ {
		if c := p[i]; c < ' ' || c == 0x7f || c == '\\' {
			return fmt.Errorf("not a usable path: %.80q", p)
		}
	}
	return nil
}

// small reads one entry into memory.
func small(e *zip.File) ([]byte, error) {
	if e.UncompressedSize64 > maxMeta {
		return nil, fmt.Errorf("%q: larger than %d bytes", e.Name, maxMeta)
	}
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxMeta+1))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", e.Name, err)
	}
	return b, nil
}
