package probe_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/gpu/probe"
)

// builtHelper names the variable by which tests run as another user find the helper that root built.
const builtHelper = "PROBE_TEST_HELPER"

// helperDir is where the tests of this process have their sandbox-gpu-probe.
var helperDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gpuprobe")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	helperDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var buildHelper = sync.OnceValues(func() (string, error) {
	path := filepath.Join(helperDir, "sandbox-gpu-probe")
	cmd := exec.Command("go", "build", "-o", path, "github.com/4cc2e759/sandbox/cmd/sandbox-gpu-probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "CGO_CFLAGS=-Wno-deprecated-declarations")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sandbox-gpu-probe (it needs gcc): %w: %s", err, out)
	}
	return path, os.Chmod(path, 0o755)
})

// helper is the real sandbox-gpu-probe.
func helper(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(builtHelper); path != "" {
		return path
	}
	gputest.NeedCompiler(t)
	path, err := buildHelper()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// script is a helper that does what the shell text says.
func script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sandbox-gpu-probe")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// problems collects what is only a warning.
type problems struct{ list []error }

func (p *problems) add(err error) { p.list = append(p.list, err) }

func options(t testing.TB, m *gputest.Machine) (probe.Options, *problems) {
	t.Helper()
	p := &problems{}
	return probe.Options{Roots: m.Roots, Helper: helper(t), Problem: p.add}, p
}
