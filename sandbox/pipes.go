package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// inPlace tells what is written to where it is from what is replaced as a whole: pipes, devices, and the links by which
// the kernel names an open file, as /dev/stdout is one. A folder is neither.
func inPlace(file string) (bool, error) {
	fi, err := os.Stat(file)
	switch {
	case err != nil:
		return false, nil // whoever creates it says what is wrong
	case fi.IsDir():
		return false, fmt.Errorf("not a file: %s", file)
	case !fi.Mode().IsRegular():
		return true, nil
	}
	to, err := os.Readlink(file)
	return err == nil && strings.HasPrefix(to, "/proc/"), nil
}

// opened is a file that is opened by its first use: of a named pipe that waits for the other end.
type opened struct {
	path  string
	flags int
	f     *os.File
}

func (o *opened) open() (err error) {
	if o.f == nil {
		o.f, err = os.OpenFile(o.path, o.flags, 0)
	}
	return err
}

// Read opens the file and reads from it.
func (o *opened) Read(p []byte) (int, error) {
	if err := o.open(); err != nil {
		return 0, err
	}
	return o.f.Read(p)
}

// Write opens the file and writes to it.
func (o *opened) Write(p []byte) (int, error) {
	if err := o.open(); err != nil {
		return 0, err
	}
	return o.f.Write(p)
}

// Close closes the file if it was opened.
func (o *opened) Close() error {
	if o.f == nil {
		return nil
	}
	return o.f.Close()
}

// orEnd does what waits for the other end of a pipe for as long as that likes, which no deadline ends; with ctx nobody
// waits for it any more, and the process is about to end.
func orEnd(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
