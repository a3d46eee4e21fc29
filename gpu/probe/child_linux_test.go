package probe_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/gpu/probe"
)

// with probes a machine with another helper; what comes back is procfs's inventory and the one problem.
func with(t *testing.T, m *gputest.Machine, helper string, o probe.Options) error {
	t.Helper()
	p := &problems{}
	o.Roots, o.Helper, o.Problem = m.Roots, helper, p.add
	inv, err := probe.Probe(context.Background(), o)
	if err != nil || len(inv.Devices) != len(m.Inventory.Devices) || inv.Source != "procfs" {
		t.Errorf("%v %+v", err, inv)
	}
	if len(p.list) != 1 || len(inv.Warnings) != 1 || inv.Warnings[0] != p.list[0].Error() {
		t.Fatalf("problems %v, warnings %q", p.list, inv.Warnings)
	}
	return p.list[0]
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// A child that hangs is killed with all that it started, also if it minds signals and keeps pipes open.
func TestTheWholeGroupIsKilled(t *testing.T) {
	m := gputest.New(t, "gke")
	pids := filepath.Join(t.TempDir(), "pids")
	h := script(t, "trap '' TERM INT HUP\nsleep 1000 &\necho $$ $! > "+pids+"\nsleep 1000\n")
	var timeout *probe.TimeoutError
	if err := with(t, m, h, probe.Options{Timeout: 500 * time.Millisecond}); !errors.As(err, &timeout) {
		t.Errorf("%v", err)
	}
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	var all [2]int
	if _, err := fmt.Sscan(string(b), &all[0], &all[1]); err != nil {
		t.Fatal(err)
	}
	for _, pid := range all {
		for n := 0; alive(pid) && n < 100; n++ {
			time.Sleep(20 * time.Millisecond) // SIGKILL is on its way
		}
		if alive(pid) {
			t.Errorf("%d is still there", pid)
		}
	}
}

// A grandchild that outlives its parent holds nobody up.
func TestGrandchildKeepsThePipe(t *testing.T) {
	m := gputest.New(t, "gke")
	pid := filepath.Join(t.TempDir(), "pid")
	with(t, m, script(t, "sleep 1000 &\necho $! > "+pid+"\nprintf '{}'\nexit 3\n"), probe.Options{})
	var n int
	if b, err := os.ReadFile(pid); err != nil {
		t.Fatal(err)
	} else if _, err := fmt.Sscan(string(b), &n); err != nil {
		t.Fatal(err)
	}
	for i := 0; alive(n) && i < 100; i++ {
		time.Sleep(20 * time.Millisecond)
	}
	if alive(n) {
		t.Errorf("%d is still there", n)
	}
}

func TestHelpersThatFail(t *testing.T) {
	m := gputest.New(t, "gke")
	elf := func(e gputest.ELF) string {
		p := filepath.Join(t.TempDir(), "sandbox-gpu-probe")
		if err := os.WriteFile(p, e.Bytes(), 0o755); err != nil {
			t.Fatal(err)
		}
		return p
	}
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ helper, says string }{
		"missing":  {"/nonexistent/probe", "/nonexistent/probe: no such file"},
		"mode":     {plain, "permission denied"},
		"musl":     {elf(gputest.ELF{Says: "x", Interp: "/lib/ld-none.so.1"}), "its dynamic linker is missing"},
		"glibc":    {elf(gputest.ELF{Says: "x", Glibc: "2.99"}), "GLIBC_2.99' not found"},
		"exit":     {script(t, "echo one >&2; printf 'last \\033[31mwords\\n' >&2; exit 3\n"), "exit status 3: last ?[31mwords"},
		"symbol":   {script(t, "echo 'probe: symbol lookup error: probe: undefined symbol: nvmlNew' >&2; exit 127\n"), "no function nvmlNew"},
		"signal":   {script(t, "kill -SEGV $$\n"), "segmentation fault"},
		"empty":    {script(t, "exit 0\n"), "its answer cannot be read: EOF"},
		"text":     {script(t, "echo hello\n"), "its answer cannot be read"},
		"more":     {script(t, `echo '{"devices":[]} {}'`+"\n"), "goes on after its end"},
		"endless":  {script(t, "exec cat /dev/zero\n"), "its answer is too long"},
		"shouting": {script(t, "head -c 10000000 /dev/zero >&2; exit 4\n"), "exit status 4"},
		"hostile":  {script(t, `echo '{"devices":[{"uuid":"GPU-../../x"}]}'`+"\n"), "its answer is wrong: GPU 0: UUID"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := with(t, m, c.helper, probe.Options{Timeout: 20 * time.Second}); !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
		})
	}
}

// The child gets next to nothing: what the caller's variables say is meant for other programs.
func TestEnvironmentOfTheChild(t *testing.T) {
	t.Setenv("LD_PRELOAD", "/nonexistent/evil.so")
	t.Setenv("LD_LIBRARY_PATH", "/nonexistent")
	t.Setenv("CUDA_VISIBLE_DEVICES", "3")
	t.Setenv("SECRET", "x")
	for name, want := range map[string]string{
		"gke":  "LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin FOLDER=/ ARGS=--library {}/libnvidia-ml.so.535.183.01 ",
		"wsl2": "LC_ALL=C LD_LIBRARY_PATH={} PATH=/usr/sbin:/usr/bin:/sbin:/bin FOLDER=/ ARGS=--library {}/libnvidia-ml.so.1 ",
	} {
		m := gputest.New(t, name)
		out := filepath.Join(t.TempDir(), "env")
		h := script(t, `{ env | grep -v -e '^PWD=' -e '^_=' -e '^OLDPWD=' -e '^SHLVL=' | sort; echo "FOLDER=$(pwd)"; echo "ARGS=$*"; } > `+out+"\n")
		_, err := probe.Probe(context.Background(), probe.Options{Roots: m.Roots, Helper: h, Environ: []string{"LD_PRELOAD=/nonexistent/evil.so", "SECRET=y"}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.ReplaceAll(string(b), "\n", " ")
		if want = strings.ReplaceAll(want, "{}", m.Path(m.LibDir)); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", name, got, want)
		}
	}
}

func TestMissingNodes(t *testing.T) {
	m := gputest.New(t, "gke")
	m.BuildNVML(t)
	m.Remove(t, "dev/nvidia1")
	inv, p := run(t, m)
	if inv.Devices[0].Error != "" || !strings.Contains(inv.Devices[1].Error, "/dev/nvidia1 is missing") || len(p.list) != 0 {
		t.Errorf("%+v %v", inv.Devices, p.list)
	}
	m.Remove(t, "dev/nvidiactl")
	o, _ := options(t, m)
	var missing *probe.NoNodeError
	if _, err := probe.Probe(context.Background(), o); !errors.As(err, &missing) || missing.Path != "/dev/nvidiactl" || !strings.Contains(missing.Hint(), "nvidia-modprobe") {
		t.Errorf("%v", err)
	}
}
