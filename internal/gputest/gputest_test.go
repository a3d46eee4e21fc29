package gputest

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMachines(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			m := New(t, name)
			if name == "no-driver" {
				return
			}
			for _, f := range []string{"libcuda.so.1", "libcuda.so", "libnvidia-ml.so.1"} {
				p, err := filepath.EvalSymlinks(m.Path(m.LibDir + "/" + f))
				if err != nil {
					t.Error(err)
				} else if fi, _ := os.Stat(p); fi.Size() < 4096 {
					t.Errorf("%s is %d bytes", f, fi.Size())
				}
			}
			m.BuildNVML(t)
		})
	}
}
