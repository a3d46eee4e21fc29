package probe_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/gpu/probe"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// same compares all but the warnings.
func same(t *testing.T, got, want gpu.Inventory) {
	t.Helper()
	got.Warnings, want.Warnings = nil, nil
	gd, wd := got.Devices, want.Devices
	got.Devices, want.Devices = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if len(gd) != len(wd) {
		t.Fatalf("%d GPUs, want %d: %+v", len(gd), len(wd), gd)
	}
	for i := range gd {
		if !reflect.DeepEqual(gd[i], wd[i]) {
			t.Errorf("GPU %d\ngot  %+v\nwant %+v", i, gd[i], wd[i])
		}
	}
}

func TestWholeMachines(t *testing.T) {
	for _, name := range gputest.Whole() {
		t.Run(name, func(t *testing.T) {
			m := gputest.New(t, name)
			m.BuildNVML(t)
			o, p := options(t, m)
			inv, err := probe.Probe(context.Background(), o)
			if err != nil || len(p.list) != 0 || len(inv.Warnings) != 0 {
				t.Errorf("%v, %v, %q", err, p.list, inv.Warnings)
			}
			same(t, inv, m.Inventory)
		})
	}
}

// fault is what a broken machine gives: an error, or a problem that is a warning.
type fault struct {
	err     any    // type of the error, nil for none
	problem any    // type of the problem
	says    string // the error or problem
	hint    string
}

func faults() map[string]fault {
	return map[string]fault{
		"mismatch":  {err: &probe.MismatchError{}, says: "kernel module 580.82.07, libraries 580.95.05", hint: "reboot, or reload modules"},
		"no-uvm":    {err: &probe.NoUVMError{}, says: "/dev/nvidia-uvm is missing", hint: "sudo nvidia-modprobe -u -c=0"},
		"lost":      {problem: &probe.LostError{}, says: "GPU 1 (0000:43:00.0) is lost", hint: "--gpu-reset -i 0000:43:00.0"},
		"no-driver": {problem: &probe.NoDriverError{}, says: "an NVIDIA GPU at 0000:1b:00.0, but no driver is loaded", hint: "modprobe nvidia"},
		"hang":      {problem: &probe.TimeoutError{}, says: "no answer within 700ms", hint: "dmesg"},
		"no-symbol": {problem: &probe.SymbolError{}, says: "no function nvmlInit"},
		"unknown":   {err: &probe.NVMLError{}, says: "NVML: unknown error (error 999)", hint: "dmesg"},
	}
}

func TestBrokenMachines(t *testing.T) {
	for name, want := range faults() {
		t.Run(name, func(t *testing.T) {
			m := gputest.New(t, name)
			m.BuildNVML(t)
			o, p := options(t, m)
			if name == "hang" {
				o.Timeout = 700 * time.Millisecond
			}
			inv, err := probe.Probe(context.Background(), o)
			same(t, inv, m.Inventory)
			if reflect.TypeOf(err) != reflect.TypeOf(want.err) {
				t.Errorf("error %T %v, want %T", err, err, want.err)
			}
			said := err
			if want.problem != nil {
				if len(p.list) == 0 || reflect.TypeOf(p.list[0]) != reflect.TypeOf(want.problem) {
					t.Fatalf("problems %v, want %T", p.list, want.problem)
				}
				said = p.list[0]
				if len(inv.Warnings) != len(p.list) || inv.Warnings[0] != said.Error() {
					t.Errorf("warnings %q", inv.Warnings)
				}
			}
			if !strings.Contains(said.Error(), want.says) {
				t.Errorf("%q does not say %q", said, want.says)
			}
			if h := strings.Join(hint.Of(said), "\n"); !strings.Contains(h, want.hint) || want.hint == "" && h != "" {
				t.Errorf("hint %q, want %q", h, want.hint)
			}
		})
	}
}

// What procfs has is every GPU as a whole, without asking anybody.
func TestWithoutHelper(t *testing.T) {
	for _, name := range gputest.Whole() {
		t.Run(name, func(t *testing.T) {
			m := gputest.New(t, name)
			inv, err := probe.Probe(context.Background(), probe.Options{Roots: m.Roots, Helper: probe.NoHelper})
			if err != nil {
				t.Fatal(err)
			}
			if name == "wsl2" {
				same(t, inv, gpu.Inventory{Source: "wsl"})
				return
			}
			want := m.Inventory
			want.Source, want.CUDA = "procfs", gpu.Version{}
			want.Devices = nil
			for _, d := range m.Inventory.Devices {
				want.Devices = append(want.Devices, gpu.Device{Index: d.Index, Minor: d.Minor, UUID: d.UUID, BDF: d.BDF, Name: d.Name, NUMA: d.NUMA, MIGMode: d.MIGMode})
			}
			same(t, inv, want)
			if (len(inv.Warnings) > 0) != (name == "a100-mig") {
				t.Errorf("warnings %q", inv.Warnings)
			}
		})
	}
}

func TestHelperIsMissing(t *testing.T) {
	m := gputest.New(t, "h100x8")
	t.Setenv("PATH", "/nonexistent")
	p := &problems{}
	inv, err := probe.Probe(context.Background(), probe.Options{Roots: m.Roots, Problem: p.add})
	if err != nil || len(inv.Devices) != 8 || inv.Source != "procfs" {
		t.Errorf("%v %+v", err, inv)
	}
	var missing *probe.NoHelperError
	if len(p.list) != 1 || !errors.As(p.list[0], &missing) || !strings.Contains(missing.Hint(), "SANDBOX_GPU_PROBE") {
		t.Errorf("%v", p.list)
	}
}

func TestMismatchWithoutHelper(t *testing.T) {
	m := gputest.New(t, "mismatch")
	_, err := probe.Probe(context.Background(), probe.Options{Roots: m.Roots, Helper: probe.NoHelper})
	var mismatch *probe.MismatchError
	if !errors.As(err, &mismatch) || *mismatch != (probe.MismatchError{Module: "580.82.07", Library: "580.95.05"}) {
		t.Errorf("%v", err)
	}
}

// Libraries of the loaded module that still lie beside the new ones are taken.
func TestOldLibraryBesideTheNewOne(t *testing.T) {
	m := gputest.New(t, "h100x8")
	m.BuildNVML(t)
	m.Rename(t, m.LibDir+"/libnvidia-ml.so."+m.Driver, "/usr/lib64/libnvidia-ml.so."+m.Driver)
	m.Rename(t, m.LibDir+"/fake_nvml.conf", "/usr/lib64/fake_nvml.conf")
	m.Write(t, m.LibDir+"/libnvidia-ml.so.590.1.1", "not a library")
	o, _ := options(t, m)
	inv, err := probe.Probe(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	same(t, inv, m.Inventory)
}

func TestPresent(t *testing.T) {
	for _, name := range gputest.Names() {
		if got, want := probe.Present(gputest.New(t, name).Roots), name != "no-driver"; got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if probe.Present(gpu.Below(t.TempDir())) {
		t.Error("an empty folder has a GPU")
	}
}

func TestNothing(t *testing.T) {
	inv, err := probe.Probe(context.Background(), probe.Options{Roots: gpu.Below(t.TempDir())})
	if err != nil || inv.Source != "none" || len(inv.Devices)+len(inv.Warnings) != 0 {
		t.Errorf("%+v, %v", inv, err)
	}
}

func TestCancelled(t *testing.T) {
	m := gputest.New(t, "hang")
	m.BuildNVML(t)
	o, _ := options(t, m)
	o.Timeout = time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := probe.Probe(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
