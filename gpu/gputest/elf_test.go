package gputest

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, name string, e ELF) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, e.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestELFIsRead(t *testing.T) {
	for _, class := range []int{64, 32} {
		path := write(t, "lib.so", ELF{Class: class, SONAME: "libcuda.so.1", Needed: []string{"libm.so.6"}, Glibc: "2.9", Exports: []string{"cuInit", "cuDriverGetVersion"}})
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		soname, err := f.DynString(elf.DT_SONAME)
		if err != nil || len(soname) != 1 || soname[0] != "libcuda.so.1" {
			t.Errorf("%d: SONAME %q, %v", class, soname, err)
		}
		needed, _ := f.DynString(elf.DT_NEEDED)
		if !slices.Equal(needed, []string{"libc.so.6", "libm.so.6"}) {
			t.Errorf("%d: needs %q", class, needed)
		}
		versions, err := f.DynamicVersionNeeds()
		if err != nil || len(versions) != 1 || versions[0].Name != "libc.so.6" || versions[0].Needs[0].Dep != "GLIBC_2.9" {
			t.Errorf("%d: versions %+v, %v", class, versions, err)
		}
		syms, err := f.DynamicSymbols()
		if err != nil || len(syms) != 2 || syms[0].Name != "cuInit" || syms[1].Name != "cuDriverGetVersion" {
			t.Errorf("%d: symbols %+v, %v", class, syms, err)
		}
	}
}

// The real dynamic linker takes them: python's ctypes is dlopen and dlsym.
func TestLinkerLoadsELF(t *testing.T) {
	python := need(t, "python3")
	load := func(path, call string) (string, error) {
		out, err := exec.Command(python, "-c", "import ctypes,sys; l=ctypes.CDLL(sys.argv[1]); print('got', getattr(l, sys.argv[2])(1, 2))", path, call).CombinedOutput()
		return string(out), err
	}
	good := write(t, "libcuda.so.1", ELF{SONAME: "libcuda.so.1", Glibc: "2.17", Exports: []string{"cuInit", "cuInit2", "cuInit3"}})
	for _, f := range []string{"cuInit", "cuInit3"} {
		if out, err := load(good, f); err != nil || strings.TrimSpace(out) != "got 0" {
			t.Errorf("%s: %v %s", f, err, out)
		}
	}
	if out, err := load(good, "cuNone"); err == nil || !strings.Contains(out, "undefined symbol") {
		t.Errorf("a symbol that is not there: %v %s", err, out)
	}
	bad := write(t, "libcuda.so.1", ELF{SONAME: "libcuda.so.1", Glibc: "2.99", Exports: []string{"cuInit"}})
	if out, err := load(bad, "cuInit"); err == nil || !strings.Contains(out, "GLIBC_2.99") {
		t.Errorf("glibc of the future: %v %s", err, out)
	}
}

func TestELFRuns(t *testing.T) {
	path := write(t, "nvidia-smi", ELF{Says: "fake nvidia-smi\n", Glibc: "2.17"})
	if out, err := exec.Command(path).CombinedOutput(); err != nil || string(out) != "fake nvidia-smi\n" {
		t.Errorf("%v: %q", err, out)
	}
	path = write(t, "nvidia-smi", ELF{Says: "x", Interp: "/nix/store/none/ld.so", Glibc: "2.17"})
	if err := exec.Command(path).Run(); err == nil {
		t.Error("it ran without its linker")
	}
}
