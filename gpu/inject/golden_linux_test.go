package inject

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver"
	"github.com/4cc2e759/sandbox/gpu/driver/ldcache"
	"github.com/4cc2e759/sandbox/gpu/gputest"
)

var update = flag.Bool("update", false, "write the golden files")

// inputs are those of a machine, with its first n GPUs picked.
func inputs(t testing.TB, m *gputest.Machine, n int, caps ...gpu.Capability) Inputs {
	t.Helper()
	set, err := driver.Discover(m.Roots, driver.Options{Caps: caps})
	if err != nil {
		t.Fatal(err)
	}
	in := Inputs{Roots: m.Roots, Inventory: m.Inventory, Set: set, Caps: caps, EnvDigest: "sha256:0", CheckNodes: m.Nodes == gputest.NodesReal}
	for _, d := range m.Inventory.Devices[:n] {
		in.Picks = append(in.Picks, gpu.Pick{Device: d, Why: "the first that fits"})
	}
	return in
}

// text is an injection as a golden file has it: a line for each operation, without what differs between
// two runs of one test.
func text(t *testing.T, m *gputest.Machine, out *Injection) string {
	t.Helper()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, x := range out.Tmpfs {
		line("tmpfs %s ro=%v  # %s", x.Target, x.ReadOnly, x.Why)
	}
	for _, x := range out.Files {
		line("file %s %#o %q  # %s", x.Target, x.Mode, x.Content, x.Why)
	}
	for _, x := range out.Nodes {
		line("node %s <- %s  # %s", x.Target, x.Source, x.Why)
	}
	for _, x := range out.Binds {
		line("bind %s <- %s %s folder=%v optional=%v  # %s", x.Target, x.Source, strings.Join(x.Flags, ","), x.Folder, x.Optional, x.Why)
	}
	for _, x := range out.Links {
		line("link %s -> %s  # %s", x.Target, x.To, x.Why)
	}
	for _, x := range out.Masks {
		line("mask %s  # %s", x.Target, x.Why)
	}
	for _, k := range slices.Sorted(maps.Keys(out.Env)) {
		line("env %s=%s", k, out.Env[k])
	}
	line("unset %q path %q memlock %v cache %s", out.Unset, out.PathAppend, out.Memlock, out.CacheKey)
	for _, n := range out.Notes {
		line("note %s", n)
	}
	r := out.Record
	line("record driver=%s module=%s open=%v cuda=%s caps=%v libcuda=%s %s", r.Driver, r.Module, r.Open, r.CUDA, r.Caps, r.Libcuda, r.Path)
	for _, f := range r.Files {
		line("used %s %d", f.Path, f.Size)
	}
	for _, x := range r.Reasons {
		line("reason %s", x)
	}
	for _, n := range slices.Sorted(maps.Keys(out.Lower)) {
		line("--- %s", n)
		if n != cacheName {
			b.Write(out.Lower[n])
			continue
		}
		entries, err := ldcache.Parse(out.Lower[n])
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			line("%s %#x %s", e.Name, e.Flags, e.Path)
		}
	}
	return strings.ReplaceAll(b.String(), m.Dir, "ROOT")
}

func TestPlansOfMachines(t *testing.T) {
	for _, c := range []struct {
		machine string
		n       int
		caps    []gpu.Capability
		mig     []int
	}{
		{machine: "h100x8", n: 2},
		{machine: "a100-mig", n: 1, mig: []int{1}},
		{machine: "t4-470", n: 1},
		{machine: "laptop-ubuntu2404", n: 1, caps: gpu.Capabilities()},
		{machine: "wsl2", n: 1, caps: []gpu.Capability{gpu.Compute, gpu.Utility, gpu.Video}},
		{machine: "gke", n: 1},
	} {
		t.Run(c.machine, func(t *testing.T) {
			m := gputest.New(t, c.machine)
			in := inputs(t, m, c.n, c.caps...)
			in.Image = debian(t).image("PATH=/usr/bin", "LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/usr/local/cuda/lib64/stubs")
			for i, k := range c.mig {
				in.Picks[i].MIG = &in.Picks[i].Device.MIG[k]
			}
			out, err := Plan(in)
			if err != nil {
				t.Fatal(err)
			}
			got := text(t, m, out)
			name := filepath.Join("testdata", c.machine+".golden")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the plan changed (go test -update writes it anew):\n%s", diff(string(want), got))
			}
		})
	}
}

// diff lists the lines that only one of two texts has.
func diff(a, b string) string {
	var out strings.Builder
	lines := func(s string) map[string]int {
		m := map[string]int{}
		for l := range strings.SplitSeq(s, "\n") {
			m[l]++
		}
		return m
	}
	la, lb := lines(a), lines(b)
	for l := range strings.SplitSeq(a, "\n") {
		if lb[l] < la[l] {
			out.WriteString("- " + l + "\n")
		}
	}
	for l := range strings.SplitSeq(b, "\n") {
		if la[l] < lb[l] {
			out.WriteString("+ " + l + "\n")
		}
	}
	return out.String()
}
