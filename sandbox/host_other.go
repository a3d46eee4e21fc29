//go:build !linux

package sandbox

import (
	"os"
	"runtime"
)

func cpus() int { return runtime.NumCPU() }

func memory() int64 { return 0 }

func stampOf(path string) (stamp, error) {
	st, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{Path: path, Size: st.Size(), Mtime: st.ModTime().UnixNano()}, nil
}
