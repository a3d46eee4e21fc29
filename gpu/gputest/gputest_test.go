package gputest

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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
					continue
				}
				e, err := elf.Open(p)
				if err != nil {
					t.Error(err)
					continue
				}
				if s, err := e.DynString(elf.DT_SONAME); err != nil || len(s) != 1 || s[0] != strings.Replace(f, ".so", ".so.1", 1)[:len(s[0])] {
					t.Errorf("%s: SONAME %q, %v", f, s, err)
				}
				e.Close()
			}
			for _, d := range m.Inventory.Devices {
				if d.Minor < 0 {
					continue
				}
				fi, err := os.Stat(m.Path("dev/nvidiactl"))
				if err != nil || fi.Mode()&os.ModeCharDevice == 0 && name != "denied" {
					t.Errorf("nvidiactl: %v %v", fi, err)
				}
			}
			m.BuildNVML(t)
		})
	}
}

// glibc's own tool reads the caches, with the names in the order that it looks them up by.
func TestCacheIsRead(t *testing.T) {
	ldconfig := need(t, "/sbin/ldconfig")
	for _, name := range Whole() {
		m := New(t, name)
		out, err := exec.Command(ldconfig, "-p", "-C", m.Path("etc/ld.so.cache")).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		first, _, _ := bytes.Cut(out, []byte("\n"))
		if !bytes.Contains(first, []byte(" libs found in cache")) {
			t.Errorf("%s: %s", name, first)
		}
		if want := "libcuda.so.1 (libc6,x86-64) => "; name != "gke" && runtime.GOARCH == "amd64" && !strings.Contains(string(out), want) {
			t.Errorf("%s: no %s in\n%s", name, want, out)
		}
		if name == "laptop-ubuntu2404" && !strings.Contains(string(out), "libcuda.so.1 (libc6) => /usr/lib/i386-linux-gnu/libcuda.so.1") {
			t.Errorf("no 32-bit libcuda in\n%s", out)
		}
	}
}

func TestNamesAreOrdered(t *testing.T) {
	ordered := []string{"libc.so.6", "libc.so.10", "libcuda.so", "libcuda.so.1", "libnvidia-ml.so.1"}
	for i, a := range ordered {
		for j, b := range ordered {
			got := compareNames(a, b)
			if i < j && got >= 0 || i > j && got <= 0 || i == j && got != 0 {
				t.Errorf("%s, %s: %d", a, b, got)
			}
		}
	}
}
