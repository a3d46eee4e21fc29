package inject

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/4cc2e759/sandbox/gpu"
)

// Record is what a run record keeps of an injection.
type Record struct {
	Driver  string           `json:"driver"` // version of the user-space part
	Module  string           `json:"module,omitempty"`
	Open    bool             `json:"open,omitempty"` // flavour of the module
	CUDA    string           `json:"cuda,omitempty"` // highest that the driver knows
	Caps    []gpu.Capability `json:"caps"`
	Libcuda string           `json:"libcuda,omitempty"` // "host" or "compat"; "" without compute
	Path    string           `json:"libcuda_path,omitempty"`
	Files   []Used           `json:"files"`
	Reasons []string         `json:"reasons,omitempty"` // what was decided, and why
}

// Used is a file of the host that was shown.
type Used struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	Mtime  int64  `json:"mtime"` // nanoseconds since 1970
	Inode  uint64 `json:"inode,omitempty"`
	SHA256 string `json:"sha256,omitempty"` // see [Record.Hash]
}

func (r *Record) reason(format string, args ...any) {
	r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
}

// Hash fills in the SHA256 of all files that lack it, which means reading some hundred megabytes; known,
// which may be nil, gives what was computed before for a file of the same path, inode, size and time. A
// file that changed since the plan was made is an error.
func (r *Record) Hash(known func(Used) string) error {
	for i := range r.Files {
		f := &r.Files[i]
		if f.SHA256 == "" && known != nil {
			f.SHA256 = known(*f)
		}
		if f.SHA256 != "" {
			continue
		}
		if err := f.hash(); err != nil {
			return err
		}
	}
	return nil
}

func (f *Used) hash() error {
	in, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	if fi, err := in.Stat(); err != nil {
		return err
	} else if !fi.Mode().IsRegular() || fi.Size() != f.Size || fi.ModTime().UnixNano() != f.Mtime {
		return fmt.Errorf("the driver changed while it was in use: %s", f.Path)
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(in, f.Size)); err != nil {
		return err
	}
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return nil
}
