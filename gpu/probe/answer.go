package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// Bounds on what a child may tell us; the biggest machine there is has 16 GPUs with 7 slices each.
const (
	maxAnswer    = 4 << 20
	maxDevices   = 128
	maxSlices    = 64
	maxProcesses = 4096
	maxName      = 128
	maxMinor     = 4095
)

var (
	// Older drivers name a slice by its GPU and two numbers.
	sliceForm   = lazyregexp.New(`^MIG-([0-9A-Za-z-]{1,64}|GPU-[0-9A-Za-z-]{1,64}/[0-9]{1,3}/[0-9]{1,3})$`)
	profileForm = lazyregexp.New(`^[0-9a-z+.-]{1,32}$`)
)

// decode reads the child's answer. NVML's refusal is an *[NVMLError]; whatever is not as it should be is a
// *[HelperError], for nothing that follows may have to doubt an inventory.
func decode(helper string, out []byte) (gpu.Inventory, error) {
	var a struct {
		Error *struct {
			Code int
			Text string
		}
		gpu.Inventory
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	if err := dec.Decode(&a); err != nil {
		return gpu.Inventory{}, &HelperError{helper, "its answer cannot be read: " + clean(err.Error(), maxName)}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return gpu.Inventory{}, &HelperError{helper, "its answer goes on after its end"}
	}
	if a.Error != nil {
		return gpu.Inventory{}, &NVMLError{Code: a.Error.Code, Text: clean(a.Error.Text, maxName)}
	}
	inv := a.Inventory
	if err := check(&inv); err != nil {
		return gpu.Inventory{}, &HelperError{helper, "its answer is wrong: " + err.Error()}
	}
	return inv, nil
}

// check bounds everything, and makes words printable.
func check(inv *gpu.Inventory) error {
	inv.Source, inv.Module, inv.Open, inv.Warnings = "nvml", "", false, nil
	if inv.Driver != "" && !versionForm.MatchString(inv.Driver) {
		return fmt.Errorf("driver version %q", clean(inv.Driver, maxName))
	}
	if !within(inv.CUDA[0], 0, 999) || !within(inv.CUDA[1], 0, 999) {
		return fmt.Errorf("CUDA version %s", inv.CUDA)
	}
	if len(inv.Devices) > maxDevices {
		return fmt.Errorf("%d GPUs", len(inv.Devices))
	}
	seen := map[string]bool{}
	for i := range inv.Devices {
		d := &inv.Devices[i]
		if d.Index != i {
			return fmt.Errorf("GPU %d comes at place %d", d.Index, i)
		}
		if err := checkDevice(d, len(inv.Devices)); err != nil {
			return fmt.Errorf("GPU %d: %w", i, err)
		}
		ids := []string{d.UUID, d.BDF}
		if d.Minor >= 0 {
			ids = append(ids, fmt.Sprint("minor ", d.Minor))
		}
		for _, m := range d.MIG {
			ids = append(ids, m.UUID)
		}
		for _, id := range ids {
			if id != "" && seen[id] {
				return fmt.Errorf("%s twice", id)
			}
			seen[id] = true
		}
	}
	return nil
}

func within(n, low, high int) bool { return n >= low && n <= high }

func checkDevice(d *gpu.Device, n int) error {
	d.Name, d.Error, d.NUMA = clean(d.Name, maxName), clean(d.Error, maxName), -1
	switch {
	case d.UUID == "" && d.Error == "", d.UUID != "" && !uuidForm.MatchString(d.UUID):
		return fmt.Errorf("UUID %q", clean(d.UUID, maxName))
	case d.BDF != "" && !bdfForm.MatchString(d.BDF):
		return fmt.Errorf("PCI address %q", clean(d.BDF, maxName))
	case !within(d.Minor, -1, maxMinor):
		return fmt.Errorf("minor %d", d.Minor)
	case !within(d.CC[0], 0, 999) || !within(d.CC[1], 0, 99):
		return fmt.Errorf("compute capability %s", d.CC)
	case d.Memory.Free > d.Memory.Total:
		return fmt.Errorf("%d bytes of %d are free", d.Memory.Free, d.Memory.Total)
	case len(d.MIG) > maxSlices:
		return fmt.Errorf("%d slices", len(d.MIG))
	case d.ComputeMode != "" && !slices.Contains([]string{"default", "exclusive-thread", "exclusive-process", "prohibited"}, d.ComputeMode):
		return fmt.Errorf("compute mode %q", clean(d.ComputeMode, maxName))
	}
	for _, l := range d.Links {
		if !within(l, 0, n-1) || l == d.Index {
			return fmt.Errorf("link to %d", l)
		}
	}
	slices.Sort(d.Links)
	d.Links = slices.Compact(d.Links)
	if len(d.Processes) > maxProcesses {
		d.Processes = d.Processes[:maxProcesses]
	}
	for i := range d.Processes {
		d.Processes[i].Name = "" // read from proc
	}
	for _, m := range d.MIG {
		switch {
		case !sliceForm.MatchString(m.UUID):
			return fmt.Errorf("slice %q", clean(m.UUID, maxName))
		case m.Profile != "" && !profileForm.MatchString(m.Profile):
			return fmt.Errorf("profile %q", clean(m.Profile, maxName))
		case !within(m.Index, 0, maxSlices) || !within(m.GI, 0, 127) || !within(m.CI, 0, 127) || !within(m.Busy, 0, maxProcesses) || m.Memory.Free > m.Memory.Total:
			return fmt.Errorf("slice %s: numbers out of range", m.UUID)
		}
	}
	return nil
}

// clean makes a text of others printable and bounds it.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), limit)])
	return s
}
