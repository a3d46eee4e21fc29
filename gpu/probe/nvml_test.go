package probe_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/gpu/probe"
)

// run probes a machine and wants no error.
func run(t *testing.T, m *gputest.Machine) (gpu.Inventory, *problems) {
	t.Helper()
	o, p := options(t, m)
	inv, err := probe.Probe(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return inv, p
}

func TestHowManyGPUs(t *testing.T) {
	for _, n := range []int{0, 1, 2, 16} {
		m := gputest.New(t, "h100x8")
		m.BuildNVML(t)
		m.Hardware.Devices = nil
		for i := range n {
			m.Hardware.Devices = append(m.Hardware.Devices, gpu.Device{Index: i, Minor: i % 8, BDF: fmt.Sprintf("0000:%02x:00.0", 0x10+i), Name: "NVIDIA H100",
				UUID: fmt.Sprintf("GPU-%04d", i), CC: gpu.CC{9, 0}, Memory: gpu.Memory{Total: 100, Free: 50}})
			if i >= 8 {
				m.Hardware.Devices[i].Minor = -1
			}
		}
		m.WriteConf(t)
		inv, p := run(t, m)
		if len(inv.Devices) != n || len(p.list) != 0 || inv.Source != "nvml" {
			t.Errorf("%d: %+v %v", n, inv, p.list)
		}
		for i, d := range inv.Devices {
			if d.UUID != m.Hardware.Devices[i].UUID || d.Memory.Free != 50 {
				t.Errorf("%d: %+v", n, d)
			}
		}
	}
}

// What nvmlInit refuses with, and what becomes of it.
func TestReturnCodes(t *testing.T) {
	m := gputest.New(t, "h100x8")
	m.BuildNVML(t)
	for code, want := range map[int]struct {
		err  any
		says string
	}{
		4:   {&probe.NVMLError{}, "NVML: no permission (error 4)"}, // the nodes are fine, so it stays NVML's word
		9:   {&probe.NVMLError{}, "NVML: driver not loaded (error 9)"},
		15:  {&probe.NVMLError{}, "NVML: GPU is lost (error 15)"},
		18:  {&probe.MismatchError{}, "kernel module 580.95.05, libraries 580.95.05"},
		999: {&probe.NVMLError{}, "NVML: unknown error (error 999)"},
		77:  {&probe.NVMLError{}, "NVML: unknown code (error 77)"},
	} {
		o, _ := options(t, m)
		m.Refuse(t, code)
		inv, err := probe.Probe(context.Background(), o)
		if reflect.TypeOf(err) != reflect.TypeOf(want.err) || !strings.Contains(fmt.Sprint(err), want.says) {
			t.Errorf("%d: %T %v, want %q", code, err, err, want.says)
		}
		if len(inv.Devices) != 8 || inv.Source != "procfs" {
			t.Errorf("%d: %+v", code, inv)
		}
	}
}

// No library is what a machine without the driver's packages has: the GPUs are there all the same.
func TestNoLibrary(t *testing.T) {
	m := gputest.New(t, "h100x8")
	m.Remove(t, m.LibDir)
	inv, p := run(t, m)
	var refused *probe.NVMLError
	if len(inv.Devices) != 8 || len(p.list) != 1 || !errors.As(p.list[0], &refused) || refused.Code != 12 {
		t.Errorf("%+v %v", inv, p.list)
	}
}

// A driver that lacks functions gives less, and never ends the child.
func TestMissingFunctions(t *testing.T) {
	for define, change := range map[string]func(*gpu.Device){
		"NO_MIG":       func(d *gpu.Device) { d.MIG, d.MIGMode = nil, false },
		"NO_P2P":       func(*gpu.Device) {}, // the ends of the links say the same
		"NO_PROCESSES": func(d *gpu.Device) { d.Processes = nil; idle(d) },
		"NO_MODES":     func(d *gpu.Device) { d.ComputeMode, d.Persistence, d.ECC = "", false, false },
		"NO_MEMORY":    func(d *gpu.Device) { d.Memory = gpu.Memory{}; noMemory(d) },
		"DRIVER=470":   func(*gpu.Device) {},
	} {
		for _, name := range []string{"h100x8", "a100-mig"} {
			t.Run(define+" "+name, func(t *testing.T) {
				m := gputest.New(t, name)
				m.BuildNVML(t, define)
				for i := range m.Inventory.Devices {
					change(&m.Inventory.Devices[i])
				}
				inv, p := run(t, m)
				if len(p.list) != 0 {
					t.Error(p.list)
				}
				same(t, inv, m.Inventory)
			})
		}
	}
	t.Run("NO_COUNT", func(t *testing.T) {
		m := gputest.New(t, "h100x8")
		m.BuildNVML(t, "NO_COUNT")
		o, _ := options(t, m)
		var refused *probe.NVMLError
		if _, err := probe.Probe(context.Background(), o); !errors.As(err, &refused) || refused.Code != 13 {
			t.Errorf("%v", err)
		}
	})
}

func idle(d *gpu.Device) {
	for i := range d.MIG {
		d.MIG[i].Busy = 0
	}
}

func noMemory(d *gpu.Device) {
	for i := range d.MIG {
		d.MIG[i].Memory = gpu.Memory{}
	}
}

// Wherever NVML hangs, the child is killed, and the answer is procfs's.
func TestHangs(t *testing.T) {
	m := gputest.New(t, "gke")
	m.BuildNVML(t)
	for _, where := range []string{"init", "count", "memory"} {
		o, p := options(t, m)
		o.Timeout = 500 * time.Millisecond
		m.Hang(t, where)
		inv, err := probe.Probe(context.Background(), o)
		var timeout *probe.TimeoutError
		if err != nil || len(inv.Devices) != 2 || len(p.list) != 1 || !errors.As(p.list[0], &timeout) || timeout.After != o.Timeout {
			t.Errorf("%s: %v %v %+v", where, err, p.list, inv)
		}
	}
}

// Slices without a name, as drivers before 470 have them, are called what nvidia-smi calls them.
func TestProfiles(t *testing.T) {
	m := gputest.New(t, "a100-mig")
	m.BuildNVML(t, "NO_SLICE_NAMES")
	inv, _ := run(t, m)
	same(t, inv, m.Inventory)
}

// All lost is still no reason to lose the names.
func TestAllLost(t *testing.T) {
	m := gputest.New(t, "lost")
	m.BuildNVML(t)
	m.Lose(t, 0, 1)
	inv, p := run(t, m)
	for i, d := range inv.Devices {
		if d.Error != "GPU is lost (NVML error 15)" || d.UUID != m.Hardware.Devices[i].UUID || d.Minor != i {
			t.Errorf("%+v", d)
		}
	}
	if len(p.list) != 2 {
		t.Errorf("%v", p.list)
	}
}

// The memory of a GPU in MIG mode may be kept from ordinary users, and memory that a CPU shares is not
// counted: that GPU is fine. One that is lost in the middle of the questions is not.
func TestMemoryIsNotTold(t *testing.T) {
	for code, says := range map[int]string{3: "", 4: "", 15: "GPU is lost (NVML error 15)", 16: "GPU requires a reset (NVML error 16)", 999: "unknown error (NVML error 999)"} {
		m := gputest.New(t, "gke")
		m.BuildNVML(t)
		m.Append(t, m.LibDir+"/fake_nvml.conf", fmt.Sprintf("memory 1 %d\n", code))
		inv, _ := run(t, m)
		if d := inv.Devices[1]; d.Memory != (gpu.Memory{}) || d.Error != says || d.UUID == "" || inv.Devices[0].Error != "" {
			t.Errorf("%d: %+v", code, inv.Devices)
		}
	}
}
