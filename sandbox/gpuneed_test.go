package sandbox

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/gpu/compat"
	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/sandbox/build"
)

// lockedProject is a project whose lock was made elsewhere, on a machine of gputest. There is no network and
// nothing in the store, so whatever is fetched fails.
func lockedProject(t *testing.T, m *gputest.Machine, sec *envfile.Section) *Project {
	t.Helper()
	dir := t.TempDir()
	lock := envfile.Lock{Version: envfile.LockVersion, Tool: "0.1", LayerFormat: envfile.LayerFormat, Sections: map[string]*envfile.Section{envfile.SectionName(build.Platform(), nil): sec}}
	var text bytes.Buffer
	_, err := lock.WriteTo(&text)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, LockName), text.Bytes(), 0o644)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, EnvName), []byte("schema = 1\n[image]\nbase = \"deb:bookworm\"\n[gpu]\nneed = \"required\"\n"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	man, err := Open(Options{Environ: map[string]string{"SANDBOX_GPU_ROOT": m.Dir, "SANDBOX_GPU_PROBE": "none"}, StoreDir: t.TempDir(), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := man.Project(dir, ProjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sum(b byte) string { return strings.Repeat(string(b), 64) }

// The lock's own packages say which C library there will be, the names of its wheels and the driver's files
// which one they need: that is enough to refuse before anything is fetched.
func TestGlibcBeforeTheDownload(t *testing.T) {
	section := func(libc, wheel string) *envfile.Section {
		return &envfile.Section{
			Image:     envfile.ImagePin{Ref: "deb:bookworm"},
			Toolchain: map[string]envfile.ToolPin{"pytorch": {Version: "2.7.1", From: "wheel", Facts: map[string]string{"cuda": "12.6"}}},
			Debs:      []envfile.DebPin{{Name: "libc6", Version: libc, Arch: "amd64", Archive: "Debian/bookworm/main", Path: "pool/main/g/glibc/libc6_1_amd64.deb", Size: 1, SHA256: sum('a'), Layer: "base"}},
			Wheels:    []envfile.WheelPin{{Name: "torch", Version: "2.7.1", File: wheel, Size: 1, SHA256: sum('b'), Index: "default"}},
		}
	}
	const wheel = "torch-2.7.1-cp311-cp311-manylinux_2_28_x86_64.whl"
	for _, c := range []struct{ libc, wheel, driver, id, text string }{
		{"2.36-9+deb12u10", wheel, "2.9", "", ""},
		{"2.36-9+deb12u10", wheel, "2.38", compat.IDGlibcDriver, "libcuda.so.535.183.01 of driver 535.183.01 needs glibc 2.38 or newer; the image has 2.36"},
		{"1:2.27-3", wheel, "2.9", compat.IDGlibcWheel, wheel + " needs glibc 2.28 or newer; the image has 2.27"},
	} {
		m := gputest.New(t, "gke")
		libcuda := m.LibDir + "/libcuda.so." + m.Driver
		m.Remove(t, libcuda)
		m.Write(t, libcuda, string((gputest.ELF{SONAME: "libcuda.so.1", Glibc: c.driver}).Bytes()))
		p := lockedProject(t, m, section(c.libc, c.wheel))
		err := p.preflight(context.Background(), RunOptions{})
		answer, checkErr := p.CheckGPU(context.Background())
		if checkErr != nil {
			t.Fatal(checkErr)
		}
		if c.id == "" {
			if err != nil || !answer.Works() {
				t.Errorf("glibc %s, driver %s: %v, %+v", c.libc, c.driver, err, answer.Problems)
			}
			continue
		}
		var need *NeedProblems
		if !errors.As(err, &need) || need.Problems[0].ID != c.id || err.Error() != c.text {
			t.Errorf("glibc %s, driver %s: %v", c.libc, c.driver, err)
		}
		if answer.Works() || answer.Problems[0].ID != c.id {
			t.Errorf("gpu check: %+v", answer.Problems)
		}
		o := RunOptions{GPU: GPUOptions{Force: true}}
		if c.id == compat.IDGlibcDriver {
			if err := p.preflight(context.Background(), o); err != nil {
				t.Errorf("--force-gpu: %v", err)
			}
		}
		o.GPU = GPUOptions{SkipChecks: true}
		if err := p.preflight(context.Background(), o); err != nil {
			t.Errorf("--skip-checks: %v", err)
		}
	}
}
