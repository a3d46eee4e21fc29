package probe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
)

// device is one that passes, for tables that spoil it.
const device = `"index":0,"minor":0,"uuid":"GPU-1","bdf":"0000:01:00.0","name":"x","memory":{"total":2,"free":1}`

func TestHostileAnswers(t *testing.T) {
	if _, err := decode("h", []byte(`{"devices":[{`+device+`}]}`)); err != nil {
		t.Fatal(err)
	}
	many := strings.Repeat("{},", 200) + "{}"
	for answer, says := range map[string]string{
		`{"driver":"580\u001b[2J"}`:                                                      `driver version "580?[2J"`,
		`{"driver":"../580.1"}`:                                                          "driver version",
		`{"cuda":[-1,0]}`:                                                                "CUDA version -1.0",
		`{"devices":[` + many + `]}`:                                                     "201 GPUs",
		`{"devices":[{` + device + `,"index":1}]}`:                                       "GPU 1 comes at place 0",
		`{"devices":[{` + device + `,"uuid":"GPU-/../x"}]}`:                              "UUID",
		`{"devices":[{` + device + `,"uuid":""}]}`:                                       "UUID",
		`{"devices":[{` + device + `,"bdf":"../../etc"}]}`:                               "PCI address",
		`{"devices":[{` + device + `,"bdf":"0000:3B:00.0"}]}`:                            "PCI address",
		`{"devices":[{` + device + `,"minor":-2}]}`:                                      "minor -2",
		`{"devices":[{` + device + `,"minor":99999}]}`:                                   "minor 99999",
		`{"devices":[{` + device + `,"cc":[1000,0]}]}`:                                   "compute capability 1000.0",
		`{"devices":[{` + device + `,"memory":{"total":1,"free":2}}]}`:                   "2 bytes of 1 are free",
		`{"devices":[{` + device + `,"memory":{"total":-1}}]}`:                           "cannot be read",
		`{"devices":[{` + device + `,"compute_mode":"\n"}]}`:                             "compute mode",
		`{"devices":[{` + device + `,"links":[0]}]}`:                                     "link to 0",
		`{"devices":[{` + device + `,"links":[7]}]}`:                                     "link to 7",
		`{"devices":[{` + device + `,"mig":[{"uuid":"MIG-../x"}]}]}`:                     "slice",
		`{"devices":[{` + device + `,"mig":[{"uuid":"MIG-1","gi":-1}]}]}`:                "out of range",
		`{"devices":[{` + device + `,"mig":[{"uuid":"MIG-1","profile":"/"}]}]}`:          "profile",
		`{"devices":[{` + device + `,"mig":[{"uuid":"MIG-1"},{"uuid":"MIG-1"}]}]}`:       "MIG-1 twice",
		`{"devices":[{` + device + `,"mig":[` + many + `]}]}`:                            "201 slices",
		`{"devices":[{` + device + `},{` + device + `,"index":1}]}`:                      "GPU-1 twice",
		`{"devices":[{` + device + `},{"index":1,"uuid":"GPU-2","bdf":"0000:02:00.0"}]}`: "minor 0 twice",
		`[]`:                           "cannot be read",
		``:                             "cannot be read",
		strings.Repeat(`{"a":`, 20000): "cannot be read",
	} {
		_, err := decode("h", []byte(answer))
		var wrong *HelperError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80s: %v, want %q", answer, err, says)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%.80s: the message is not printable: %q", answer, err)
		}
	}
}

func TestAnswersAreCleaned(t *testing.T) {
	inv, err := decode("h", []byte(`{"source":"evil","module":"1","open":true,"warnings":["\u001b"],"devices":[{`+device+
		`,"name":"a\u001b]0;x\u0007","error":"`+strings.Repeat("y", 500)+`","numa":9,"processes":[{"pid":1,"name":"\u001b"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	d := inv.Devices[0]
	if inv.Source != "nvml" || inv.Module != "" || inv.Open || inv.Warnings != nil || d.Name != "a?]0;x?" || len(d.Error) != maxName || d.NUMA != -1 || d.Processes[0].Name != "" {
		t.Errorf("%+v", inv)
	}
	old := "MIG-GPU-0b1c2d3e-0000-1111-2222-333344445555/7/0"
	if inv, err := decode("h", []byte(`{"devices":[{`+device+`,"mig":[{"uuid":"`+old+`"}]}]}`)); err != nil || inv.Devices[0].MIG[0].UUID != old {
		t.Errorf("%v", err)
	}
	var refused *NVMLError
	if _, err := decode("h", []byte(`{"error":{"code":4,"text":"no\u001b"}}`)); !errors.As(err, &refused) || *refused != (NVMLError{4, "no?"}) {
		t.Errorf("%v", err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(content), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestModule(t *testing.T) {
	for _, c := range []struct {
		proc, sys, version string
		open               bool
	}{
		{"NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  Fri May 31 09:35:42 UTC 2024\nGCC version:  gcc version 12.2.0\n", "", "550.90.07", false},
		{"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22-I3-B17-02-5)  Tue Sep 23 09:55:41 UTC 2025\n", "", "580.95.05", true},
		{"NVRM version: NVIDIA UNIX aarch64 Kernel Module  470.57.02  Tue Jul 13 16:13:57 UTC 2021\n", "", "470.57.02", false},
		{"NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  570.124.06  Release Build\n", "570.1.1\n", "570.124.06", true},
		{"", "535.183.01\n", "535.183.01", false},
		{"NVRM version: something else\n", "535.183.01\n", "535.183.01", false},
		{"NVRM version: \x1b[2J 1.2.3.4.5\n", "../../x\n", "", false},
		{"GCC version:  gcc version 12.2.0\n", "", "", false},
		{strings.Repeat("x", 1<<20), "", "", false},
	} {
		r := gpu.Below(t.TempDir())
		if c.proc != "" {
			write(t, filepath.Join(r.Proc, "driver/nvidia/version"), c.proc)
		}
		if c.sys != "" {
			write(t, filepath.Join(r.Sys, "module/nvidia/version"), c.sys)
		}
		if v, open := Module(r); v != c.version || open != c.open {
			t.Errorf("%.60q %q: %q %v", c.proc, c.sys, v, open)
		}
	}
}

// GPUs that nobody has opened have no UUID yet, excluded ones do not count, and the order is that of
// addresses whatever the folder's is.
func TestProcfs(t *testing.T) {
	r := gpu.Below(t.TempDir())
	info := func(bdf, text string) {
		write(t, filepath.Join(r.Proc, "driver/nvidia/gpus", bdf, "information"), text)
	}
	info("10000:01:00.0", "Model: \t\t Far\nDevice Minor: \t 4\n")
	info("0000:c1:00.0", "Model: \t\t NVIDIA A\nGPU UUID: \t GPU-????????-????-????-????-????????????\nBus Location: \t 0000:c1:00.0\nDevice Minor: \t 3\n")
	info("0000:0A:00.0", "Model: \t\t \x1b[2J\nGPU UUID: \t GPU-../x\nBus Location: \t ../..\nDevice Minor: \t -7\n")
	info("0000:0b:00.0", "Model: \t\t Hidden\nGPU Excluded:\t Yes\n")
	info("0000:0c:00.0", "nothing that is known\n")
	info("evil", "Model: x\n")
	got := fromProcfs(r)
	want := []gpu.Device{
		{Index: 0, Minor: -1, BDF: "0000:0a:00.0", Name: "?[2J", NUMA: -1},
		{Index: 1, Minor: 3, BDF: "0000:c1:00.0", Name: "NVIDIA A", NUMA: -1},
		{Index: 2, Minor: 4, BDF: "10000:01:00.0", Name: "Far", NUMA: -1},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestVersionsAreCompared(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"580.95.05", "580.105.08", true}, {"580.105.08", "580.95.05", false}, {"470.256.02", "1000.1", true}, {"580.95", "580.95.05", true}, {"", "1", true}, {"1", "1", false}} {
		if older(c.a, c.b) != c.want {
			t.Errorf("%s, %s", c.a, c.b)
		}
	}
}

func TestPermissionHints(t *testing.T) {
	for _, c := range []struct {
		e          PermissionError
		says, hint string
	}{
		{PermissionError{Path: "/dev/nvidiactl", Mode: 0o666, Group: "root", Cgroup: true}, "opening /dev/nvidiactl is forbidden although its mode 0666 allows it", "device cgroup"},
		{PermissionError{Path: "/dev/nvidia0", Mode: 0o660, Group: "video"}, "no permission to open /dev/nvidia0 (mode 0660, group video)", "usermod -aG video"},
		{PermissionError{Path: "/dev/nvidia0", Mode: 0o600, Group: "root"}, "(mode 0600, group root)", "NVreg_DeviceFileMode"},
	} {
		if !strings.Contains(c.e.Error(), c.says) || !strings.Contains(c.e.Hint(), c.hint) {
			t.Errorf("%q, %q", c.e.Error(), c.e.Hint())
		}
	}
}

func TestNVMLHints(t *testing.T) {
	for code, want := range map[int]string{4: "docker run --gpus", 9: "modprobe nvidia", 12: "compute package", 999: "a reboot helps"} {
		if h := (&NVMLError{Code: code}).Hint(); !strings.Contains(h, want) {
			t.Errorf("%d: %q", code, h)
		}
	}
}

func TestHelperIsFound(t *testing.T) {
	t.Setenv(HelperVar, "")
	dir := t.TempDir()
	path := filepath.Join(dir, helperName)
	write(t, path, "#!/bin/sh\n")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "/nonexistent:"+dir)
	if got := FindHelper(nil); got != path {
		t.Errorf("PATH: %q", got)
	}
	for value, want := range map[string]string{"/x/y": "/x/y", NoHelper: NoHelper, helperName: path, "./here": ""} {
		t.Setenv(HelperVar, value)
		got := FindHelper(nil)
		if want == "" {
			if !filepath.IsAbs(got) || filepath.Base(got) != "here" {
				t.Errorf("%s: %q", value, got)
			}
		} else if got != want {
			t.Errorf("%s: %q", value, got)
		}
	}
	t.Setenv(HelperVar, "")
	t.Chdir(dir)
	t.Setenv("PATH", "/nonexistent:.:")
	if got := FindHelper(nil); got != "" {
		t.Errorf("nowhere: %q", got)
	}
	if got := FindHelper([]string{HelperVar + "=/x", HelperVar + "=/given"}); got != "/given" {
		t.Errorf("given: %q", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"devices":[{` + device + `}]}`))
	f.Add([]byte(`{"error":{"code":4,"text":"x"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		inv, err := decode("h", b)
		if err != nil {
			return
		}
		for i, d := range inv.Devices {
			if d.Index != i || strings.ContainsAny(d.UUID+d.BDF, "./\\ \x00") && !bdfForm.MatchString(d.BDF) || len(d.Name) > 3*maxName {
				t.Errorf("%+v", d)
			}
			for _, m := range d.MIG {
				if strings.Contains(m.UUID, "..") || strings.HasPrefix(m.UUID, "/") {
					t.Errorf("%+v", m)
				}
			}
		}
	})
}

func FuzzInformation(f *testing.F) {
	f.Add("Model: \t\t NVIDIA A\nGPU UUID: \t GPU-1\nBus Location: \t 0000:c1:00.0\nDevice Minor: \t 3\n")
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := information(s)
		if ok && (d.Minor < -1 || d.Minor > maxMinor || d.BDF != "" && !bdfForm.MatchString(d.BDF) || d.UUID != "" && !uuidForm.MatchString(d.UUID)) {
			t.Errorf("%+v", d)
		}
	})
}
