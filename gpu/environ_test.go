package gpu

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// only is what a device cgroup leaves of a machine: NVML lists what can be opened, and counts anew.
func only(inv Inventory, keep ...int) Inventory {
	var devices []Device
	for i, k := range keep {
		d := inv.Devices[k]
		d.Index = i
		devices = append(devices, d)
	}
	inv.Devices = devices
	return inv
}

func TestAllowed(t *testing.T) {
	h, s := h100x8(), sliced()
	u := func(i int) string { return h.Devices[i].UUID }
	slice := func(i int) string { return s.Devices[1].MIG[i].UUID }
	job := "SLURM_JOB_ID=77"
	for _, c := range []struct {
		name string
		env  string // words with spaces between
		inv  Inventory
		want []string // nil: no limit
		job  bool
	}{
		{"nothing", "PATH=/bin", h, nil, false},
		{"empty", "CUDA_VISIBLE_DEVICES=", h, []string{}, false},
		{"-1", "CUDA_VISIBLE_DEVICES=-1", h, []string{}, false},
		{"NoDevFiles", "CUDA_VISIBLE_DEVICES=NoDevFiles", h, []string{}, false},
		{"numbers keep their order", "CUDA_VISIBLE_DEVICES=2,1", h, []string{u(2), u(1)}, false},
		{"the manual's example", "CUDA_VISIBLE_DEVICES=0,2,-1,1", h, []string{u(0), u(2)}, false},
		{"stops at a number that is none", "CUDA_VISIBLE_DEVICES=3,8,1", h, []string{u(3)}, false},
		{"stops at a word", "CUDA_VISIBLE_DEVICES=3,x,1", h, []string{u(3)}, false},
		{"stops at nothing", "CUDA_VISIBLE_DEVICES=3,,1", h, []string{u(3)}, false},
		{"twice", "CUDA_VISIBLE_DEVICES=3,3,1", h, []string{u(3), u(1)}, false},
		{"UUID", "CUDA_VISIBLE_DEVICES=" + u(4), h, []string{u(4)}, false},
		{"beginnings", "CUDA_VISIBLE_DEVICES=GPU-8f3a5,GPU-8f3a1", h, []string{u(5), u(1)}, false},
		{"a beginning of several", "CUDA_VISIBLE_DEVICES=GPU-8f3a,GPU-8f3a1", h, []string{}, false},
		{"an address is no word of CUDA", "CUDA_VISIBLE_DEVICES=0000:18:00.0", h, []string{}, false},
		{"slice", "CUDA_VISIBLE_DEVICES=" + slice(2), s, []string{slice(2)}, false},
		{"slice, old name", "CUDA_VISIBLE_DEVICES=MIG-" + s.Devices[1].UUID + "/8/0", s, []string{slice(1)}, false},
		{"no GPU", "CUDA_VISIBLE_DEVICES=0", Inventory{}, []string{}, false},

		{"slurm, without GPUs", job, h, nil, true},
		{"slurm, all seen", job + " SLURM_STEP_GPUS=2,5 CUDA_VISIBLE_DEVICES=2,5", h, []string{u(2), u(5)}, true},
		{"slurm, all seen, narrowed", job + " SLURM_STEP_GPUS=2,5 CUDA_VISIBLE_DEVICES=5", h, []string{u(5)}, true},
		{"slurm, all seen, widened", job + " SLURM_STEP_GPUS=2,5 CUDA_VISIBLE_DEVICES=0,2", h, []string{u(2)}, true},
		{"slurm, cgroup", job + " SLURM_STEP_GPUS=2,5 CUDA_VISIBLE_DEVICES=0,1", only(h, 2, 5), []string{u(2), u(5)}, true},
		{"slurm, cgroup, narrowed", job + " SLURM_STEP_GPUS=2,5 CUDA_VISIBLE_DEVICES=1", only(h, 2, 5), []string{u(5)}, true},
		{"slurm, cgroup, one lost", job + " SLURM_STEP_GPUS=2,5,6", only(h, 2, 6), []string{u(2), u(6)}, true},
		{"slurm, cgroup, only the list", job + " SLURM_STEP_GPUS=2,5", only(h, 2, 5), []string{u(2), u(5)}, true},
		{"slurm, only the list", job + " SLURM_STEP_GPUS=2,5", h, []string{u(2), u(5)}, true},
		{"slurm, step before job", job + " SLURM_STEP_GPUS=2 SLURM_JOB_GPUS=2,5 SLURM_STEP_ID=0", h, []string{u(2)}, true},
		{"slurm, batch", job + " SLURM_JOB_GPUS=2,5", h, []string{u(2), u(5)}, true},
		{"slurm, a step on another machine", job + " SLURM_JOB_GPUS=2,5 SLURM_STEP_ID=0 SLURM_NNODES=2", h, nil, true},
		{"slurm, a step on the one machine", job + " SLURM_JOB_GPUS=2,5 SLURM_STEP_ID=0 SLURM_NNODES=1", h, []string{u(2), u(5)}, true},
		{"slurm, OpenCL", job + " GPU_DEVICE_ORDINAL=0", only(h, 6), []string{u(6)}, true},
		{"OpenCL alone means AMD", "GPU_DEVICE_ORDINAL=0", h, nil, false},
		{"slurm, none", job + " SLURM_JOB_GPUS=NoDevFiles CUDA_VISIBLE_DEVICES=NoDevFiles", h, []string{}, true},
		{"slurm, procfs in a cgroup", job + " SLURM_STEP_GPUS=2,5 CUDA_VISIBLE_DEVICES=0,1", procfs(), []string{u(2), u(5)}, true},
		{"slurm, procfs, whole numbers", job + " SLURM_STEP_GPUS=2,5 CUDA_VISIBLE_DEVICES=5", procfs(), []string{u(5)}, true},
		{"slurm, procfs, 0 is the job's first", job + " SLURM_STEP_GPUS=5 CUDA_VISIBLE_DEVICES=0", procfs(), []string{u(5)}, true},
		{"slurm, UUIDs", job + " SLURM_STEP_GPUS=2,5 CUDA_VISIBLE_DEVICES=" + u(2) + "," + u(5), h, []string{u(2), u(5)}, true},
		{"slurm, slices", job + " SLURM_STEP_GPUS=3 CUDA_VISIBLE_DEVICES=" + slice(1), s, []string{slice(1)}, true},

		{"torque", "PBS_JOBID=5 PBS_GPUFILE=/gpus", h, []string{u(1), u(3)}, true},
		{"torque, its own variable", "PBS_JOBID=5 PBS_GPUFILE=/gpus CUDA_VISIBLE_DEVICES=3,1", h, []string{u(3), u(1)}, true},
		{"torque, widened", "PBS_JOBID=5 PBS_GPUFILE=/gpus CUDA_VISIBLE_DEVICES=0,1", h, []string{u(1)}, true},
		{"openpbs", "PBS_JOBID=5 CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=" + u(7), h, []string{u(7)}, true},
		{"openpbs, none", "PBS_JOBID=5 CUDA_VISIBLE_DEVICES=", h, []string{}, true},
		{"lsf", "LSB_JOBID=5 CUDA_VISIBLE_DEVICES=1", h, []string{u(1)}, true},
		{"kubernetes", "KUBERNETES_SERVICE_HOST=10.0.0.1", h, nil, true},
	} {
		env := map[string]string{}
		for word := range strings.FieldsSeq(c.env) {
			name, value, _ := strings.Cut(word, "=")
			env[name] = value
		}
		o := Outside{Environ: env, Host: "node7.example.org", ReadFile: func(path string) ([]byte, error) {
			return []byte("node6-gpu0\nnode7-gpu1\nnode7.example.org-gpu3\nnonsense\nnode7-gpux\n"), nil
		}}
		got, inJob, err := o.Allowed(c.inv)
		if err != nil || inJob != c.job || (got == nil) != (c.want == nil) {
			t.Errorf("%s: %+v, %v, %v", c.name, got, inJob, err)
			continue
		}
		if got == nil {
			continue
		}
		if !reflect.DeepEqual(got.IDs, c.want) || got.Source == "" {
			t.Errorf("%s: %v from %s, want %v", c.name, got.IDs, got.Source, c.want)
		}
		// Whatever the limit is, it holds.
		all, _ := Parse("all,share=yes")
		picks, err := all.Select(c.inv, SelectOptions{Allowed: got, InJob: true})
		if len(picks) > len(c.want) || len(c.want) == 0 && err == nil {
			t.Errorf("%s: picked %s", c.name, indices(picks))
		}
	}
}

func TestAllowedErrors(t *testing.T) {
	_, _, err := FromEnviron(map[string]string{"SLURM_JOB_ID": "1", "SLURM_JOB_GPUS": "3"}, sliced())
	if err == nil || !strings.Contains(err.Error(), "SLURM_JOB_GPUS=3 counts slices (MIG)") || len(hint.Of(err)) != 1 {
		t.Error(err)
	}
	o := Outside{Environ: map[string]string{"PBS_GPUFILE": "/gpus"}, ReadFile: func(string) ([]byte, error) { return nil, errors.New("gone") }}
	if _, _, err := o.Allowed(h100x8()); err == nil || !strings.Contains(err.Error(), "PBS_GPUFILE: gone") {
		t.Error(err)
	}
	a, _, err := FromEnviron(map[string]string{"CUDA_VISIBLE_DEVICES": "0"}, mixed())
	if err != nil || !strings.Contains(a.Note, "CUDA_DEVICE_ORDER=PCI_BUS_ID") {
		t.Error(a, err)
	}
	for _, env := range []map[string]string{{"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, {"CUDA_VISIBLE_DEVICES": "GPU-8f3a0"}} {
		if a, _, err := FromEnviron(env, mixed()); err != nil || a.Note != "" {
			t.Error(a, err)
		}
	}
	hostile := "\x1b[2J" + strings.Repeat("0,", 1e5)
	a, _, err = FromEnviron(map[string]string{"CUDA_VISIBLE_DEVICES": hostile}, mixed())
	if err != nil || len(a.IDs) != 0 || len(a.Source) > 2000 || strings.ContainsFunc(a.Source, unprintable) {
		t.Error(a, err)
	}
}

func TestImage(t *testing.T) {
	for _, c := range []struct{ env, want string }{
		{"", ""},
		{"NVIDIA_VISIBLE_DEVICES=void", ""},
		{"NVIDIA_VISIBLE_DEVICES=", ""},
		{"NVIDIA_VISIBLE_DEVICES=none", "none"},
		{"NVIDIA_VISIBLE_DEVICES=all", "all"},
		{"NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility", "all,caps=compute+utility"},
		{"NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=all", "all,caps=compute+utility+video+graphics+display+ngx+compat32"},
		{"NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=video,teapot", "all,caps=video"},
		{"NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=teapot", "all"},
		{"NVIDIA_VISIBLE_DEVICES=0,GPU-8F3A,MIG-41c0,0:1,x", "index=0,GPU-8f3a,MIG-41c0"},
		{"NVIDIA_VISIBLE_DEVICES=all NVIDIA_VISIBLE_DEVICES=1", "index=1"},
	} {
		r, ok := FromImage(strings.Fields(c.env))
		got := r.String()
		if !ok {
			got = ""
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.env, got, c.want)
		}
	}
}

func TestImageNeverWidens(t *testing.T) {
	images := []string{"NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=all", "NVIDIA_VISIBLE_DEVICES=0,1 NVIDIA_DRIVER_CAPABILITIES=utility", "NVIDIA_VISIBLE_DEVICES=none", ""}
	for _, req := range []string{"none", "1", "all", "2,name=h100", "GPU-8f3a5", "1,caps=compute", "1,caps=compute+utility"} {
		r, err := Parse(req)
		if err != nil {
			t.Fatal(err)
		}
		for _, image := range images {
			im, _ := FromImage(strings.Fields(image))
			in := r.Within(im)
			want, errWant := r.Select(h100x8(), SelectOptions{})
			got, err := in.Select(h100x8(), SelectOptions{})
			if indices(got) != indices(want) || (err == nil) != (errWant == nil) {
				t.Errorf("%s in %s: %s, want %s", req, image, indices(got), indices(want))
			}
			if r.Caps != nil && !reflect.DeepEqual(in.Caps, r.Caps) {
				t.Errorf("%s in %s: %v", req, image, in.Caps)
			}
		}
	}
	im, _ := FromImage([]string{"NVIDIA_VISIBLE_DEVICES=all"})
	if got := (Request{}).Within(im); got.Wants() {
		t.Error("an image gets GPUs that nobody gave it")
	}
	one, _ := Parse("1")
	im, _ = FromImage([]string{"NVIDIA_DRIVER_CAPABILITIES=compute,video"})
	if got := one.Within(im); got.String() != "1,caps=compute+video" {
		t.Error(got)
	}
}
