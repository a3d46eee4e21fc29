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

// errStop ends the reading of a .deb early.
var errStop = errors.New("enough")

// ReadPackage reads what a .deb says about itself. Of the Pin only Name, Version and Arch are set.
// It reads no further than it must: the control file comes before the data.
func ReadPackage(deb io.Reader) (*Package, error) {
	text, err := readControlText(deb)
	if err != nil {
		return nil, err
	}
	return ParseControl(text)
}

func readControlText(deb io.Reader) (text string, err error) {
	err = members(deb, func(name string, r io.Reader) (err error) {
		if name != "control" {
			return errors.New("data.tar comes before control.tar")
		}
		if text, err = readControl(r); err == nil {
			err = errStop
		}
		return err
	})
	if !errors.Is(err, errStop) {
		return "", err
	}
	return text, nil
}

// ParseControl reads the text of a control file that [ReadContents] gave, as [ReadPackage] does.
func ParseControl(text string) (*Package, error) {
	p, err := parseControl(text)
	if err != nil {
		return nil, fmt.Errorf("control file: %w", err)
	}
	if len(p) != 1 {
		return nil, fmt.Errorf("control file: %d paragraphs", len(p))
	}
	return newPackage(p[0])
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
		if text, found = string(b), true; err == nil {
			err = errStop
		}
		return err
	})
	if errors.Is(err, errStop) {
		return text, nil
	}
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
