package gpu

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/hint"
)

func TestSelect(t *testing.T) {
	used := func(d *Device) {
		d.Processes = []Process{{PID: 4242, Name: "python"}}
		d.Memory.Free -= 30 * gib
	}
	uuid := func(inv Inventory, i int) string { return inv.Devices[i].UUID }
	h, m, s := h100x8(), mixed(), sliced()
	for _, c := range []struct {
		name string
		req  string
		inv  Inventory
		o    SelectOptions
		want string // indices, or a part of the error
	}{
		{"nothing", "none", h, SelectOptions{}, ""},
		{"one of equals is the first", "1", h, SelectOptions{}, "0"},
		{"most free memory", "1", m, SelectOptions{}, "3"},
		{"two with most memory", "2", m, SelectOptions{}, "3 1"},
		{"another model", "2,name=3090", h, SelectOptions{}, "none of the 8 GPUs fits: GPU 0 is another model: NVIDIA H100 80GB HBM3; GPU 1"},
		{"a bridge decides among equals", "2,cc>=8.0", m.each(func(d *Device) { d.Memory = Memory{24 * gib, 23 * gib} }, 3), SelectOptions{}, "1 2"},
		{"fewest processes", "1", h.each(func(d *Device) { d.Processes = []Process{{PID: 1}} }, 0, 1), SelectOptions{Mine: func(Process) bool { return true }}, "2"},
		{"one NUMA node among equals", "4", h.each(func(d *Device) { d.Links = nil }, 0, 1, 2, 3, 4, 5, 6, 7), SelectOptions{}, "0 1 2 3"},
		{"node of more free ones", "3", h.each(func(d *Device) { used(d); d.Links = nil }, 0, 1).each(func(d *Device) { d.Links = nil }, 2, 3, 4, 5, 6, 7), SelectOptions{}, "4 5 6"},
		{"same NUMA node, wanted", "4,same-numa", h.each(used, 0), SelectOptions{}, "4 5 6 7"},
		{"same NUMA node, impossible", "5,same-numa", h, SelectOptions{}, "8 fit, but no NUMA node has 5 of them"},
		{"same NUMA node, in use", "4,same-numa", h.each(used, 0, 4), SelectOptions{}, "4 GPUs wanted, 6 free"},
		{"no nodes are one node", "2,same-numa,name=3090", m, SelectOptions{}, "1 2"},
		{"all", "all", m, SelectOptions{}, "0 1 2 3"},
		{"all of a model", "all,name=geforce", m, SelectOptions{}, "1 2"},
		{"all, one in use", "all", m.each(used, 2), SelectOptions{}, "4 GPUs wanted, 3 free: GPU 2 is used by python (pid 4242)"},
		{"all, one shared", "all,share=yes", m.each(used, 2), SelectOptions{}, "0 1 2 3"},
		{"all, one broken", "all", m.each(func(d *Device) { d.Error = "GPU is lost" }, 2), SelectOptions{}, "0 1 3"},
		{"all on one node", "all,same-numa", h, SelectOptions{}, "they are on different NUMA nodes"},
		{"more than there are", "9", h, SelectOptions{}, "9 GPUs wanted, 8 fit"},
		{"none at all", "1", Inventory{Source: "none"}, SelectOptions{}, "no GPU on this machine"},
		{"by name", "1,name=t4", m, SelectOptions{}, "0"},
		{"by capability", "1,cc<8", m, SelectOptions{}, "0"},
		{"capability of one major", "1,cc~=8.6", m, SelectOptions{}, "1"},
		{"no such capability", "1,cc>=9.0", m, SelectOptions{}, "none of the 4 GPUs fits: GPU 0 has compute capability 7.5, wanted >=9.0; GPU 1"},
		{"capability not known", "1,cc>=8.0", procfs(), SelectOptions{}, "does not tell its compute capability: NVML could not be asked"},
		{"memory not known", "1,min-memory=1GiB", procfs(), SelectOptions{}, "does not tell its memory"},
		{"count without NVML", "2", procfs(), SelectOptions{}, "0 1"},
		{"enough memory", "1,min-memory=30GiB", m, SelectOptions{}, "3"},
		{"never enough", "1,min-memory=48GiB", m, SelectOptions{}, "GPU 0 has 15.0 GiB of memory in all, 48.0 GiB free wanted"},
		{"not enough now", "1,min-memory=39GiB", m.each(used, 3), SelectOptions{}, "the GPU that fits is in use: GPU 3 is used by python"},
		{"total", "1,min-total=40GiB", m, SelectOptions{}, "3"},
		{"total, none", "1,min-total=41GiB", m, SelectOptions{}, "GPU 0 has 15.0 GiB of memory, 41.0 GiB wanted"},
		{"shared and too full", "1,min-memory=39GiB,share=yes", m.each(used, 3), SelectOptions{}, "GPU 3 has 9.0 GiB free, 39.0 GiB wanted"},
		{"compute mode", "1,share=yes,name=t4", m.each(func(d *Device) { used(d); d.ComputeMode = "exclusive-process" }, 0), SelectOptions{}, "(compute mode exclusive-process)"},
		{"compute mode, free", "1,share=yes,name=t4", m.each(func(d *Device) { d.ComputeMode = "exclusive-process" }, 0), SelectOptions{}, "0"},
		{"prohibited", "1,name=t4", m.each(func(d *Device) { d.ComputeMode = "prohibited" }, 0), SelectOptions{}, "is set to compute mode prohibited"},
		{"by UUID", uuid(h, 5), h, SelectOptions{}, "5"},
		{"by beginnings, in order", "GPU-8f3a5,GPU-8f3a2", h, SelectOptions{}, "5 2"},
		{"ambiguous", "GPU-8f3a", h, SelectOptions{}, "8 GPUs begin with GPU-8f3a"},
		{"unknown", "GPU-dead", h, SelectOptions{}, "no such GPU: GPU-dead"},
		{"by address", "1A:00.0", h, SelectOptions{}, "2"},
		{"by index", "index=7,index=1", h, SelectOptions{}, "7 1"},
		{"twice the same", "index=7,1f:00.0", h, SelectOptions{}, "7"},
		{"no such index", "index=8", h, SelectOptions{}, "no such GPU: index=8"},
		{"named and not fit", "index=0,name=a100", m, SelectOptions{}, "GPU 0 is another model: Tesla T4"},
		{"named and lost", "index=0", m.each(func(d *Device) { d.Error = "GPU is lost (NVML error 15)" }, 0), SelectOptions{}, "GPU 0 cannot be used: GPU is lost (NVML error 15)"},
		{"named and in use", "index=0", m.each(used, 0), SelectOptions{}, "the GPU that fits is in use: GPU 0 is used by python (pid 4242)"},
		{"leased", "index=0", m, SelectOptions{Held: heldBy(map[string]string{uuid(m, 0): "train (pid 7, user ann)"})}, "GPU 0 is leased by train (pid 7, user ann)"},
		{"leased, another is free", "1,name=3090", m, SelectOptions{Held: heldBy(map[string]string{uuid(m, 1): ""})}, "2"},
		{"leased, job", "1,name=3090", m.each(used, 1, 2), SelectOptions{InJob: true, Held: heldBy(map[string]string{uuid(m, 1): ""})}, "1"},
		{"own process", "1,name=t4", m.each(used, 0), SelectOptions{Mine: func(p Process) bool { return p.PID == 4242 }}, "0"},
		{"limit", "1", m, SelectOptions{Allowed: &Allowed{IDs: []string{uuid(m, 0)}, Source: "X"}}, "0"},
		{"limit, all", "all", m, SelectOptions{Allowed: &Allowed{IDs: []string{uuid(m, 2), uuid(m, 0)}, Source: "X"}}, "2 0"},
		{"limit, order decides among equals", "1", h, SelectOptions{Allowed: &Allowed{IDs: []string{uuid(h, 5), uuid(h, 2)}, Source: "X"}}, "5"},
		{"limit, none", "1", m, SelectOptions{Allowed: &Allowed{IDs: []string{}, Source: "CUDA_VISIBLE_DEVICES="}}, "is not among CUDA_VISIBLE_DEVICES="},
		{"limit, named", "index=1", m, SelectOptions{Allowed: &Allowed{IDs: []string{uuid(m, 0)}, Source: "CUDA_VISIBLE_DEVICES=0"}}, "GPU 1 is not among CUDA_VISIBLE_DEVICES=0"},
		{"whole GPU beside slices", "1", s, SelectOptions{}, "0"},
		{"whole GPUs beside slices", "2", s, SelectOptions{}, "GPU 1 is divided into 3 slices (MIG); GPU 2 is in MIG mode without a slice"},
		{"all beside slices", "all", s, SelectOptions{}, "0"},
		{"a divided GPU by name", "index=1", s, SelectOptions{}, "GPU 1 is divided into 3 slices (MIG)"},
		{"slice", "1,mig=1g.10gb", s, SelectOptions{}, "1/0"},
		{"slices", "2,mig=1G.10GB", s, SelectOptions{}, "1/0 1/1"},
		{"all slices", "all,mig=3g.40gb", s, SelectOptions{}, "1/2"},
		{"no slices", "1,mig=1g.10gb", h, SelectOptions{}, "GPU 0 has no slices (MIG)"},
		{"slice by UUID", "MIG-41c00002", s, SelectOptions{}, "1/2"},
		{"slice by old name", "MIG-" + uuid(s, 1) + "/8/0", s, SelectOptions{}, "1/1"},
		{"slices, ambiguous", "MIG-41c0", s, SelectOptions{}, "3 GPUs begin with MIG-41c0"},
		{"slice in use", "1,mig=3g.40gb", s.each(func(d *Device) { d.MIG = slices.Clone(d.MIG); d.MIG[2].Busy = 2 }, 1), SelectOptions{}, "slice MIG-41c00002 of GPU 1 is used by 2 programs"},
		{"slice leased", "1,mig=1g.10gb", s, SelectOptions{Held: heldBy(map[string]string{s.Devices[1].MIG[0].UUID: ""})}, "1/1"},
		{"a job's slice is its GPU", "1", s, SelectOptions{InJob: true, Allowed: &Allowed{IDs: []string{s.Devices[1].MIG[1].UUID}, Source: "X"}}, "1/1"},
		{"limit to a GPU allows its slices", "1,mig=1g.10gb", s, SelectOptions{Allowed: &Allowed{IDs: []string{uuid(s, 1)}, Source: "X"}}, "1/0"},
		{"memory of a slice", "1,mig=1g.10gb,min-memory=10GiB", s, SelectOptions{}, "1/0"},
	} {
		r, err := Parse(c.req)
		if err != nil {
			t.Error(err)
			continue
		}
		picks, err := r.Select(c.inv, c.o)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) || c.want == "" {
				t.Errorf("%s: %s: %v\nwant %s", c.name, r, err, c.want)
			}
			continue
		}
		if got := indices(picks); got != c.want {
			t.Errorf("%s: %s: picked %s, want %s", c.name, r, got, c.want)
		}
		for _, p := range picks {
			if p.Why == "" {
				t.Errorf("%s: no reason", c.name)
			}
		}
	}
}

func TestSelectErrors(t *testing.T) {
	held := SelectOptions{Held: heldBy(map[string]string{mixed().Devices[0].UUID: "python (pid 7, user ann)"})}
	one, _ := Parse("1,name=t4")
	_, err := one.Select(mixed(), held)
	var h *HeldError
	if !errors.As(err, &h) || h.Free != 0 || h.Need != 1 || !reflect.DeepEqual(h.By, []string{"python (pid 7, user ann)"}) {
		t.Fatalf("%#v", err)
	}
	if got := hint.Of(err); len(got) != 1 || !strings.Contains(got[0], "--gpus 1,name=t4,wait=10m waits") || !strings.Contains(got[0], "--gpus 1,name=t4,share=yes uses") {
		t.Error(got)
	}
	nine, _ := Parse("9")
	_, err = nine.Select(h100x8(), SelectOptions{})
	var n *NoMatchError
	if !errors.As(err, &n) || n.Need != 9 || n.Fit != 8 || len(n.Reasons) != 8 || len(hint.Of(err)) == 0 {
		t.Errorf("%#v", err)
	}
	_, err = one.Select(sliced(), SelectOptions{})
	if got := hint.Of(err); len(got) != 1 || got[0] != "a slice is asked for by profile: --gpus 1,mig=1g.10gb" {
		t.Error(err, got)
	}
	unknown, _ := Parse("GPU-dead")
	_, err = unknown.Select(h100x8(), SelectOptions{})
	var u *UnknownError
	if !errors.As(err, &u) || len(u.Have) != 8 || !strings.Contains(strings.Join(hint.Of(err), ""), "GPU-8f3a0000-") {
		t.Errorf("%#v %q", err, hint.Of(err))
	}
}

func TestExplain(t *testing.T) {
	inv := mixed().each(func(d *Device) { d.Error = "GPU is lost (NVML error 15)" }, 0).each(func(d *Device) { d.Processes = []Process{{PID: 9, Name: "a\x1b[2J"}} }, 1)
	r, _ := Parse("1,cc>=8.0")
	var got []string
	for _, x := range Explain(r, inv, SelectOptions{}) {
		got = append(got, fmt.Sprintf("%s %s: %s %s", x.State, x.BDF, x.Label(), x.Why))
	}
	want := []string{
		"unfit 0000:18:00.0: GPU 0 cannot be used: GPU is lost (NVML error 15)",
		`busy 0000:19:00.0: GPU 1 is used by "a\x1b[2J" (pid 9)`,
		"spare 0000:1a:00.0: GPU 2 fits, and others come first",
		"taken 0000:1b:00.0: GPU 3 most free memory, fewest processes of the 2 that fit",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
	for _, req := range []string{"none", "GPU-dead", "all", "1,mig=1g.10gb", "9"} {
		r, _ := Parse(req)
		if n := len(Explain(r, inv, SelectOptions{})); n != 4 {
			t.Errorf("%s: %d lines for 4 GPUs", req, n)
		}
	}
}

// A machine with question marks for a UUID has only addresses.
func TestDeviceWithoutUUID(t *testing.T) {
	inv := procfs().each(func(d *Device) { d.UUID = "GPU-????????-????-????-????-????????????" }, 0, 1, 2, 3, 4, 5, 6, 7)
	r, _ := Parse("19:00.0")
	picks, err := r.Select(inv, SelectOptions{Held: heldBy(map[string]string{"0000:18:00.0": "x"})})
	if err != nil || len(picks) != 1 || picks[0].ID() != "0000:19:00.0" {
		t.Error(picks, err)
	}
	two, _ := Parse("2")
	if picks, err := two.Select(inv, SelectOptions{Held: heldBy(map[string]string{"0000:18:00.0": "x"})}); err != nil || indices(picks) != "1 2" {
		t.Error(picks, err)
	}
}

// Whatever the machine and the request: the same picks again and in any order of devices, each of them
// satisfies the request, and with less to choose from nothing new is picked that was not there.
func TestSelectProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	outcomes := map[string]int{}
	for range 20000 {
		inv, o := randomMachine(rng)
		r := randomRequest(rng, inv)
		picks, err := r.Select(inv, o)
		shuffled := inv
		shuffled.Devices = slices.Clone(inv.Devices)
		rng.Shuffle(len(shuffled.Devices), func(i, j int) {
			shuffled.Devices[i], shuffled.Devices[j] = shuffled.Devices[j], shuffled.Devices[i]
		})
		again, errAgain := r.Select(shuffled, o)
		if !reflect.DeepEqual(picks, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatalf("%s: %v %v, then %v %v", r, indices(picks), err, indices(again), errAgain)
		}
		if why := violates(r, inv, o, picks, err); why != "" {
			t.Fatalf("%s picked %s, %v: %s\n%+v", r, indices(picks), err, why, inv)
		}
		switch err.(type) {
		case nil:
			outcomes["picked"]++
		case *NoMatchError:
			outcomes["no match"]++
		case *HeldError:
			outcomes["held"]++
			// Nothing but time is missing: with the machine to itself, and its memory free, it works.
			empty := inv.each(func(d *Device) {
				d.Processes, d.Memory.Free = nil, d.Memory.Total
				d.MIG = slices.Clone(d.MIG)
				for i := range d.MIG {
					d.MIG[i].Busy, d.MIG[i].Memory.Free = 0, d.MIG[i].Memory.Total
				}
			}, everyIndex(inv)...)
			if _, err := r.Select(empty, SelectOptions{Allowed: o.Allowed}); err != nil {
				t.Fatalf("%s: waiting cannot help: %v", r, err)
			}
		default:
			outcomes["other"]++
		}
		if lines := Explain(r, inv, o); err == nil && r.Wants() {
			taken := 0
			for _, l := range lines {
				if l.State == Taken {
					taken++
				}
			}
			if taken != len(picks) {
				t.Fatalf("%s: %d explained, %d picked", r, taken, len(picks))
			}
		}
		if r.Wants() && r.Count > 0 && err == nil {
			ids := []string{}
			for _, p := range picks {
				ids = append(ids, p.ID())
			}
			less := o
			less.Allowed = &Allowed{IDs: ids, Source: "test"}
			if same, err := r.Select(inv, less); err != nil || len(same) != len(picks) {
				t.Fatalf("%s: not among its own picks %v: %v", r, ids, err)
			}
		}
	}
	for _, kind := range []string{"picked", "no match", "held"} {
		if outcomes[kind] < 500 {
			t.Errorf("%d times %s: the machines are too easy or too hard: %v", outcomes[kind], kind, outcomes)
		}
	}
}
