package gpu

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// Outside is where the tool itself was started, which may limit the GPUs that it may hand on.
type Outside struct {
	Environ map[string]string
	Host    string // this machine's name, to find its lines in PBS_GPUFILE; "": every line counts
	// ReadFile reads PBS_GPUFILE; nil: not read. It should bound what it reads.
	ReadFile func(path string) ([]byte, error)
}

// FromEnviron is [Outside.Allowed] for an environment alone, without PBS_GPUFILE.
func FromEnviron(environ map[string]string, inv Inventory) (*Allowed, bool, error) {
	return Outside{Environ: environ}.Allowed(inv)
}

// jobs are the variables by which a scheduler's job is known.
var jobs = []string{"SLURM_JOB_ID", "SLURM_JOBID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "OAR_JOB_ID", "COBALT_JOBID", "_CONDOR_JOB_AD", "SGE_TASK_ID", "KUBERNETES_SERVICE_HOST"}

// InJob tells whether a scheduler has started us, so that GPUs are its to give and are not leased.
func (o Outside) InJob() bool {
	return slices.ContainsFunc(jobs, func(name string) bool { return o.Environ[name] != "" })
}

// Allowed is which GPUs may be used, nil for all that are seen, and whether this is a scheduler's job.
//
// CUDA_VISIBLE_DEVICES comes first, read as CUDA reads it: numbers of GPUs among those that the driver
// shows here, beginnings of UUIDs, slices; the first word that means nothing ends the list, so that "",
// "-1" and "NoDevFiles" allow none; the order stays. A number is an index of NVML. That is also right in a
// Slurm job whose device cgroup hides GPUs: Slurm then counts from 0, and so does NVML, which lists only
// what can be opened. (Procfs lists all, so there the numbers of a job are looked up in the job's GPUs.)
//
// SLURM_STEP_GPUS, or SLURM_JOB_GPUS outside of steps, number the GPUs of the whole machine by PCI
// address, hidden ones included. They say nothing where just as many are seen as the job has; where more
// are seen, nothing is hidden, and they are a limit beside CUDA_VISIBLE_DEVICES: a job that sets that
// variable itself does not get more than its own.
//
// GPU_DEVICE_ORDINAL is what Slurm sets for OpenCL, with the same numbers as CUDA_VISIBLE_DEVICES; it
// counts where that one is missing. PBS_GPUFILE (Torque) has lines "host-gpu0"; OpenPBS sets UUIDs in
// CUDA_VISIBLE_DEVICES.
func (o Outside) Allowed(inv Inventory) (*Allowed, bool, error) {
	cuda, isSet := o.Environ["CUDA_VISIBLE_DEVICES"]
	name := "CUDA_VISIBLE_DEVICES"
	if ordinal, ok := o.Environ["GPU_DEVICE_ORDINAL"]; !isSet && ok && o.slurm() {
		cuda, isSet, name = ordinal, true, "GPU_DEVICE_ORDINAL"
	}
	job, err := o.job(inv)
	if err != nil || !isSet {
		return job.allowed(inv), o.InJob(), err
	}
	a := &Allowed{Source: name + "=" + shown(cuda), Note: o.doubt(cuda, inv)}
	a.IDs = visible(cuda, inv, job.renumber(cuda, inv))
	if limit := job.allowed(inv); limit != nil && !strings.Contains(strings.ToUpper(cuda), "MIG-") {
		within := slices.DeleteFunc(slices.Clone(a.IDs), func(id string) bool { return !slices.Contains(limit.IDs, id) })
		if len(within) < len(a.IDs) {
			a.Source += " and " + limit.Source
		}
		a.IDs = within
	}
	return a, o.InJob(), nil
}

// visible reads a list as CUDA does. number says which GPU a number means.
func visible(list string, inv Inventory, number func(int) (Device, bool)) []string {
	out := []string{}
	for word := range strings.SplitSeq(list, ",") {
		word = strings.TrimSpace(word)
		id := ""
		if n, err := strconv.ParseUint(word, 10, 16); err == nil {
			if d, ok := number(int(n)); ok {
				id = d.ID()
			}
		} else if name, ok := parseID(word); ok && strings.ContainsRune(name, '-') {
			if found, err := resolve([]string{name}, inv); err == nil {
				id = found[0]
			}
		}
		if id == "" {
			break
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// doubt warns of numbers that CUDA may count in another order than we.
func (o Outside) doubt(list string, inv Inventory) string {
	if o.Environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID" || strings.ContainsAny(list, "-GM") || list == "" {
		return ""
	}
	for _, d := range inv.Devices {
		if d.Name != inv.Devices[0].Name {
			return "the numbers of CUDA_VISIBLE_DEVICES are taken as `sandbox gpu list` counts; CUDA puts the fastest GPU first unless CUDA_DEVICE_ORDER=PCI_BUS_ID"
		}
	}
	return ""
}

func (o Outside) slurm() bool {
	return cmp.Or(o.Environ["SLURM_JOB_ID"], o.Environ["SLURM_JOBID"]) != ""
}

// jobGPUs are the numbers of a job's GPUs in the whole machine.
type jobGPUs struct {
	numbers []int
	source  string
}

// job reads the scheduler's own list, if there is one that holds for this machine.
func (o Outside) job(inv Inventory) (*jobGPUs, error) {
	name, list := "", ""
	switch {
	case !o.slurm():
		return o.torque()
	case o.Environ["SLURM_STEP_GPUS"] != "":
		name, list = "SLURM_STEP_GPUS", o.Environ["SLURM_STEP_GPUS"]
	case o.Environ["SLURM_JOB_GPUS"] != "" && (o.Environ["SLURM_STEP_ID"] == "" || o.Environ["SLURM_NNODES"] == "1"):
		// A step inherits it from the batch script, which may run on another machine.
		name, list = "SLURM_JOB_GPUS", o.Environ["SLURM_JOB_GPUS"]
	default:
		return nil, nil
	}
	j := &jobGPUs{source: name + "=" + shown(list)}
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(word), 10, 16)
		if err != nil {
			break // NoDevFiles, of Slurm before 19.05
		}
		j.numbers = append(j.numbers, int(n))
	}
	_, cuda := o.Environ["CUDA_VISIBLE_DEVICES"]
	if slices.ContainsFunc(inv.Devices, func(d Device) bool { return len(d.MIG) > 0 }) {
		if cuda || len(inv.Devices) == len(j.numbers) {
			return nil, nil // Slurm counts slices here; CUDA_VISIBLE_DEVICES has their UUIDs
		}
		return nil, hint.With(fmt.Errorf("%s counts slices (MIG), and CUDA_VISIBLE_DEVICES does not name them", j.source),
			"CUDA_VISIBLE_DEVICES=MIG-… says which are meant; `sandbox gpu list` shows them")
	}
	return j, nil
}

// torque reads PBS_GPUFILE.
func (o Outside) torque() (*jobGPUs, error) {
	path := o.Environ["PBS_GPUFILE"]
	if path == "" || o.ReadFile == nil {
		return nil, nil
	}
	text, err := o.ReadFile(path)
	if err != nil {
		return nil, hint.With(fmt.Errorf("PBS_GPUFILE: %w", err), "CUDA_VISIBLE_DEVICES says which GPUs are the job's")
	}
	j := &jobGPUs{source: "PBS_GPUFILE"}
	short, _, _ := strings.Cut(o.Host, ".")
	for _, line := range strings.Fields(string(text)) {
		at := strings.LastIndex(line, "-gpu")
		if at < 0 {
			continue
		}
		host, _, _ := strings.Cut(line[:at], ".")
		n, err := strconv.ParseUint(line[at+len("-gpu"):], 10, 16)
		if err == nil && (o.Host == "" || strings.EqualFold(host, short)) {
			j.numbers = append(j.numbers, int(n))
		}
	}
	return j, nil
}

// hidden tells that the job's cgroup shows just its own GPUs, so that their numbers are not ours.
func (j *jobGPUs) hidden(inv Inventory) bool {
	return inv.Source != "procfs" && len(inv.Devices) <= len(j.numbers)
}

func (j *jobGPUs) allowed(inv Inventory) *Allowed {
	if j == nil {
		return nil
	}
	a := &Allowed{IDs: []string{}, Source: j.source}
	for _, d := range inv.Devices {
		if j.hidden(inv) || slices.Contains(j.numbers, d.Index) {
			a.IDs = append(a.IDs, d.ID())
		}
	}
	return a
}

// renumber says which GPU a number of CUDA_VISIBLE_DEVICES means.
func (j *jobGPUs) renumber(list string, inv Inventory) func(int) (Device, bool) {
	byIndex := func(n int) (Device, bool) {
		i := slices.IndexFunc(inv.Devices, func(d Device) bool { return d.Index == n })
		if i < 0 {
			return Device{}, false
		}
		return inv.Devices[i], true
	}
	if j == nil || inv.Source != "procfs" || len(j.numbers) == len(inv.Devices) {
		return byIndex
	}
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err == nil && !slices.Contains(j.numbers, n) {
			// No GPU of the job has this number in the machine, so it is one in the job's own count.
			own := slices.Sorted(slices.Values(j.numbers))
			return func(n int) (Device, bool) {
				if n >= len(own) {
					return Device{}, false
				}
				return byIndex(own[n])
			}
		}
	}
	return byIndex
}
