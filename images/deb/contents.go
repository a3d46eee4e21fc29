package deb

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
)

// maxControlFile bounds one file of control.tar; the largest real ones (md5sums) have a few MiB.
const maxControlFile = 32 << 20

// Entry is one entry of data.tar.
type Entry struct {
	Name         string // below the root, without a leading "./"; "" for the root itself
	Typeflag     byte   // as in archive/tar
	Mode         int64  // permission bits with setuid, setgid, sticky
	UID, GID     int
	Uname, Gname string
	Linkname     string
	Size         int64
}

// ReadContents reads a .deb from its beginning: the text of its control file, and the entries of
// data.tar without their content.
func ReadContents(deb io.Reader, l Limits) (control string, data []Entry, err error) {
	l = l.orDefault()
	err = members(deb, func(name string, r io.Reader) error {
		if name == "control" {
			control, err = readControl(r)
			return err
		}
		return eachEntry(r, l, func(h *tar.Header, name string, _ io.Reader) error {
			data = append(data, Entry{
				Name: name, Typeflag: h.Typeflag, Mode: h.Mode & 0o7777, UID: h.Uid, GID: h.Gid,
				Uname: h.Uname, Gname: h.Gname, Linkname: h.Linkname, Size: h.Size,
			})
			return nil
		})
	})
	return control, data, err
}

// Control is the fields of a .deb's own control file that matter to the installation.
type Control struct {
	Name, Version, Arch string
	Essential           bool
}

// ParseControl reads the text that [ReadContents] gave.
func ParseControl(text string) (Control, error) {
	p, err := parseControl(text)
	if err != nil || len(p) != 1 {
		return Control{}, fmt.Errorf("bad control file: %w", errors.Join(err))
	}
	return Control{p[0]["package"], p[0]["version"], p[0]["architecture"], p[0]["essential"] == "yes"}, nil
}

func readControl(r io.Reader) (string, error) {
	text, found := "", false
	err := eachEntry(r, Limits{Bytes: 256 << 20, Entries: 10_000}, func(h *tar.Header, name string, body io.Reader) error {
		if name != "control" || found {
			return nil
		}
		if h.Size > maxControlFile {
			return fmt.Errorf("control file of %d bytes is too long", h.Size)
		}
		b, err := io.ReadAll(body)
		text, found = string(b), true
		return err
	})
	if err == nil && !found {
		err = errors.New("no control file")
	}
	return text, err
}

// eachEntry calls f for the entries of a tar, within limits.
func eachEntry(r io.Reader, l Limits, f func(h *tar.Header, name string, body io.Reader) error) error {
	in := &io.LimitedReader{R: r, N: l.Bytes}
	tr := tar.NewReader(in)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if in.N <= 0 {
			return fmt.Errorf("more than %d bytes", l.Bytes)
		}
		if err != nil {
			return err
		}
		if n >= l.Entries {
			return fmt.Errorf("more than %d entries", l.Entries)
		}
		name, err := inTree(h.Name)
		if err != nil {
			return err
		}
		if err := f(h, name, tr); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if in.N <= 0 {
			return fmt.Errorf("more than %d bytes", l.Bytes)
		}
	}
}
