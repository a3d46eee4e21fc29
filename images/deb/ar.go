package deb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// Limits bound what one .deb may hold; the zero value means the defaults.
type Limits struct {
	Bytes   int64 // of all files, inflated; 0 = 64 GiB
	Entries int   // 0 = 2 million
}

// UnpackOptions of [Unpack]; the zero value unpacks everything.
type UnpackOptions struct {
	Limits Limits
	Skip   func(name string) bool // entries that are not written, by their path below the root
	Plain  *os.File               // an empty file that gets the .deb again, with nothing in it compressed; nil = nobody needs it
}

func (l Limits) orDefault() Limits {
	if l.Bytes <= 0 {
		l.Bytes = 64 << 30
	}
	if l.Entries <= 0 {
		l.Entries = 2_000_000
	}
	return l
}

// members calls f for control.tar and data.tar of a .deb, deb(5), in the order in which they are
// there, with their inflated content. f need not read it all. A deb is an ar archive of
// debian-binary, control.tar and data.tar, each of the two compressed in its own way.
func members(deb io.Reader, f func(name string, tar io.Reader) error) error {
	br := bufio.NewReaderSize(deb, 1<<16)
	magic := make([]byte, 8)
	if _, err := io.ReadFull(br, magic); err != nil || string(magic) != "!<arch>\n" {
		return errors.New("not a .deb: no ar archive")
	}
	seen := map[string]bool{}
	for n := 0; ; n++ {
		name, size, err := arHeader(br)
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		body := &io.LimitedReader{R: br, N: size}
		base, ext := name, ""
		if i := strings.Index(name, ".tar"); i >= 0 {
			base, ext = name[:i], name[i+len(".tar"):]
		}
		switch {
		case n == 0:
			v, err := io.ReadAll(io.LimitReader(body, 64))
			if name != "debian-binary" || err != nil || !strings.HasPrefix(string(v), "2.") {
				return errors.New("not a .deb: it is not of version 2")
			}
		case base == "control" || base == "data":
			if seen[base] {
				return fmt.Errorf("it has %s.tar twice", base)
			}
			seen[base] = true
			r, err := decompress(body, ext)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			err = f(base, r)
			r.Close()
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		if body.N > 0 {
			return fmt.Errorf("%s: %w", name, io.ErrUnexpectedEOF)
		}
		if size%2 == 1 { // members begin at even offsets
			if _, err := br.Discard(1); err != nil && err != io.EOF {
				return err
			}
		}
	}
	if !seen["control"] || !seen["data"] {
		return errors.New("not a .deb: control.tar or data.tar is missing")
	}
	return nil
}

// arHeader reads the 60 bytes before a member.
func arHeader(r io.Reader) (name string, size int64, err error) {
	h := make([]byte, 60)
	if n, err := io.ReadFull(r, h); err != nil {
		if n == 0 && err == io.EOF {
			return "", 0, io.EOF
		}
		return "", 0, errors.New("bad ar header")
	}
	size, err = strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
	if err != nil || size < 0 || h[58] != '`' || h[59] != '\n' {
		return "", 0, errors.New("bad ar header")
	}
	return strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/"), size, nil
}

// inTree is a tar entry's name as a path below the root: "" for the root itself.
func inTree(name string) (string, error) {
	if len(name) > 4096 || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("bad name of %d bytes", len(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("name leads out of the tree: %q", name)
		}
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), nil
}
