//go:build !linux

package launch

import (
	"os"
)

// StampOf looks at a file, following links.
func StampOf(path string) (Stamp, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Stamp{}, err
	}
	return Stamp{Path: path, Size: st.Size(), Mtime: st.ModTime().UnixNano()}, nil
}
