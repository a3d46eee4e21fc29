//go:build !linux

package layer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/4cc2e759/sandbox/images/store"
)

var errLinux = errors.New("layers can only be used on Linux")

// Apply works on Linux only.
func Apply(context.Context, io.Reader, string, ApplyOptions) (Info, error) { return Info{}, errLinux }

// Reassemble works on Linux only.
func Reassemble(context.Context, io.Writer, string) error { return errLinux }

// Check works on Linux only.
func Check(func(string) (string, func(), error)) func(context.Context, store.Layer) error {
	return func(context.Context, store.Layer) error { return errLinux }
}

// Pack works on Linux only.
func Pack(context.Context, io.Writer, string, PackOptions) error { return errLinux }

// List works on Linux only.
func List(context.Context, io.Writer, string, PackOptions) error { return errLinux }

// DiffID works on Linux only.
func DiffID(context.Context, string, PackOptions) (Digests, error) { return Digests{}, errLinux }

// InheritLayer works on Linux only.
func InheritLayer(context.Context, string, []string, Limits) (int, error) { return 0, errLinux }

// CleanUpper works on Linux only.
func CleanUpper(string) error { return errLinux }

// OpaqueRoot works on Linux only.
func OpaqueRoot(string) bool { return false }

// Open works on Linux only.
func (s *Stack) Open(string) (*os.File, error) { return nil, errLinux }

// ReadFile works on Linux only.
func (s *Stack) ReadFile(string, int64) ([]byte, error) { return nil, errLinux }

// Lstat works on Linux only.
func (s *Stack) Lstat(string) (fs.FileInfo, error) { return nil, errLinux }

// Stat works on Linux only.
func (s *Stack) Stat(string) (fs.FileInfo, error) { return nil, errLinux }

// ReadDir works on Linux only.
func (s *Stack) ReadDir(string) ([]fs.DirEntry, error) { return nil, errLinux }

// Readlink works on Linux only.
func (s *Stack) Readlink(string) (string, error) { return "", errLinux }

// Resolve works on Linux only.
func (s *Stack) Resolve(string) (string, error) { return "", errLinux }
