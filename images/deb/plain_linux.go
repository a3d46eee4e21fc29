package deb

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// plainWriter writes a .deb whose members are not compressed. Their sizes are known when they are there.
type plainWriter struct {
	f      *os.File
	w      *bufio.Writer
	at     int64 // where the next byte goes
	header int64 // where the header of the current member is; -1 = none
	name   string
}

func newPlain(f *os.File) (*plainWriter, error) {
	p := &plainWriter{f: f, w: bufio.NewWriterSize(f, 1<<17), header: -1}
	_, err := io.WriteString(p, "!<arch>\n"+arMemberHeader("debian-binary", 4)+"2.0\n")
	return p, err
}

// arMemberHeader is what stands before a member, ar(5).
func arMemberHeader(name string, size int64) string {
	return fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", size)
}

func (p *plainWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.at += int64(n)
	return n, err
}

// begin starts a member.
func (p *plainWriter) begin(name string) error {
	p.header, p.name = p.at, name
	_, err := io.WriteString(p, arMemberHeader(name, 0))
	return err
}

// end gives the member its size; members begin at even offsets.
func (p *plainWriter) end() error {
	size := p.at - p.header - 60
	if size%2 == 1 {
		if _, err := p.Write([]byte("\n")); err != nil {
			return err
		}
	}
	if err := p.w.Flush(); err != nil {
		return err
	}
	if size > 9_999_999_999 { // ten digits are what a header has room for
		return fmt.Errorf("%s of %d bytes is too long", p.name, size)
	}
	_, err := p.f.WriteAt([]byte(arMemberHeader(p.name, size)), p.header)
	return err
}

// plain is f for the members of a .deb, which go to o.Plain as well.
func plain(o UnpackOptions, f func(name string, tar io.Reader) error) func(name string, tar io.Reader) error {
	if o.Plain == nil {
		return f
	}
	var p *plainWriter
	return func(name string, r io.Reader) (err error) {
		if p == nil {
			if p, err = newPlain(o.Plain); err != nil {
				return err
			}
		}
		if err := p.begin(name + ".tar"); err != nil {
			return err
		}
		in := &io.LimitedReader{R: r, N: o.Limits.orDefault().Bytes}
		tee := io.TeeReader(in, p)
		if err := f(name, tee); err != nil {
			return err
		}
		// A tar reader stops at the mark of the end, or before it; what fills the last record is part of it.
		if _, err := io.Copy(io.Discard, tee); err != nil {
			return err
		}
		if in.N <= 0 {
			return fmt.Errorf("more than %d bytes", o.Limits.orDefault().Bytes)
		}
		return p.end()
	}
}
