package out

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// target is a file that gets its name when it is whole. Until then it has none at all, so that nothing of it lies
// beside the name when this process is killed; where the file system or the kernel cannot do that, it has a temporary
// one.
type target struct {
	*os.File
	path, temp string // temp is "" as long as there is no name
}

func create(path string) (*target, error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	if f, err := nameless(dir); err == nil {
		return &target{File: f, path: path}, nil
	}
	f, err := os.CreateTemp(dir, "."+base+".tmp-*")
	if err != nil {
		return nil, err
	}
	return &target{File: f, path: path, temp: f.Name()}, nil
}

// finish gives the file its name, in place of what has it.
func (t *target) finish() error {
	if t.temp == "" {
		dir, base := filepath.Split(t.path)
		temp := filepath.Join(dir, fmt.Sprintf(".%s.tmp-%016x", base, rand.Uint64()))
		if err := link(t.File, temp); err != nil { // a link replaces nothing, a rename does
			return err
		}
		t.temp = temp
	}
	return os.Rename(t.temp, t.path)
}

// discard closes the file and removes what is there of it.
func (t *target) discard() {
	t.Close()
	if t.temp != "" {
		os.Remove(t.temp)
	}
}
