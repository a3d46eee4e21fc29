package probe_test

import (
	"context"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/gpu/probe"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

func functions(t *testing.T, library string) []string {
	t.Helper()
	f, err := elf.Open(library)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syms, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range syms {
		if s.Section != elf.SHN_UNDEF && strings.HasPrefix(s.Name, "nvml") {
			out = append(out, s.Name)
		}
	}
	return out
}

// asNobody is the helper as a user who owns nothing: NVIDIA's library, asked by root, makes a
// /dev/nvidiactl, also on a machine without a driver.
func asNobody(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return helper(t)
	}
	path := filepath.Join(testenv.PublicDir(t), "sandbox-gpu-probe")
	text := "#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups -- " + helper(t) + " \"$@\"\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// NVIDIA's own library, as Debian packages it, loads and says that there is no driver.
func TestRealLibrary(t *testing.T) {
	if _, err := os.Stat("/proc/driver/nvidia"); err == nil {
		t.Skip("there is a driver here, and the library would talk to it")
	}
	root := gputest.Debian(t, "libnvidia-ml1")
	found, _ := filepath.Glob(filepath.Join(root, "usr/lib/*/nvidia/current/libnvidia-ml.so.[1-9]*.*"))
	if len(found) != 1 {
		t.Fatalf("%q", found)
	}
	library := found[0]
	version := strings.TrimPrefix(filepath.Base(library), "libnvidia-ml.so.")
	t.Cleanup(func() {
		if probe.Present(gpu.HostRoots()) {
			t.Error("the library left something behind in /dev")
		}
	})

	t.Run("alone", func(t *testing.T) {
		for _, args := range [][]string{{"--library", library}, {"--root", root}} {
			out, err := exec.Command(asNobody(t), args...).CombinedOutput()
			if want := `{"error":{"call":"nvmlInit","code":9,"text":"driver not loaded"}}` + "\n"; err != nil || string(out) != want {
				t.Errorf("%q: %v: %s", args, err, out)
			}
		}
	})
	t.Run("with a module", func(t *testing.T) {
		m := gputest.New(t, "gke")
		lib := m.LibDir + "/libnvidia-ml.so." + version
		m.Remove(t, m.LibDir+"/libnvidia-ml.so.1", m.LibDir+"/libnvidia-ml.so."+m.Driver)
		m.Write(t, "proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  "+version+"  Fri\n")
		b, err := os.ReadFile(library)
		if err != nil {
			t.Fatal(err)
		}
		m.Write(t, lib, string(b))
		o, _ := options(t, m)
		o.Helper = asNobody(t)
		inv, err := probe.Probe(context.Background(), o)
		var refused *probe.NVMLError
		if !errors.As(err, &refused) || refused.Code != 9 || !strings.Contains(refused.Hint(), "modprobe nvidia") {
			t.Errorf("%v", err)
		}
		if len(inv.Devices) != 2 || inv.Source != "procfs" || inv.Module != version {
			t.Errorf("%+v", inv)
		}
	})
	t.Run("names", func(t *testing.T) {
		real := functions(t, library)
		fake := filepath.Join(t.TempDir(), "lib.so")
		if err := os.WriteFile(fake, gputest.NVML(t), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, f := range functions(t, fake) {
			if !slices.Contains(real, f) {
				t.Errorf("the fake library has %s, which NVIDIA's does not", f)
			}
		}
		for _, file := range []string{"nvml/read.go", "nvml/mig.go"} {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// Functions that only drivers before 400 had are asked for in case the newer are missing.
			old := []string{"nvmlDeviceGetAttributes"}
			for _, q := range regexp.MustCompile(`"(nvml[A-Z]\w+)"`).FindAllStringSubmatch(string(src), -1) {
				if !slices.Contains(real, q[1]) && !slices.Contains(old, q[1]) {
					t.Errorf("%s asks for %s, which NVIDIA's library does not have", file, q[1])
				}
			}
		}
	})
}
