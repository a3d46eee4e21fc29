package sandbox

import (
	"fmt"
	"time"

	"github.com/4cc2e759/sandbox/envfile/terms"
	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// gpuRequest joins what the env file and the command line want. The command line decides; what it leaves
// open is the env file's, and what both leave open about the driver's parts is the image's.
func gpuRequest(w launch.GPUWant, imageEnv []string) (gpu.Request, error) {
	file, err := requestOf(w.Terms)
	if err != nil {
		return gpu.Request{}, err
	}
	r := file
	if len(w.Options.GPUs) > 0 {
		if r, err = requestOfFlags(w.Options.GPUs); err != nil {
			return gpu.Request{}, err
		}
		r = fill(r, file)
	}
	image, _ := gpu.FromImage(imageEnv)
	return r.Within(image), nil
}

// requestOf is [gpu] as a request.
func requestOf(t terms.GPU) (gpu.Request, error) {
	if t.Need == "" || t.Need == "none" {
		return gpu.Request{}, nil
	}
	r := gpu.Request{
		Count: t.Count, MinFree: uint64(t.MinMemory), MinTotal: uint64(t.TotalMemory), Name: t.Name, CC: t.Compute,
		MIG: t.MIG, Share: t.Share, Optional: t.Need == "optional", Source: EnvName + ": gpu",
	}
	if t.Wait != "" {
		d, err := time.ParseDuration(t.Wait)
		if err != nil {
			return r, fmt.Errorf("gpu.wait: %w", err)
		}
		r.Wait = d
	}
	for _, c := range t.Caps {
		r.Caps = append(r.Caps, gpu.Capability(c))
	}
	return r, nil
}

func requestOfFlags(flags []string) (gpu.Request, error) {
	r, err := gpu.Parse(flags[0])
	if err != nil {
		return r, err // of type *gpu.SyntaxError: it names the flag and its value
	}
	for _, f := range flags[1:] {
		next, err := gpu.Parse(f)
		if err == nil {
			r, err = r.Join(next)
		}
		if err != nil {
			return r, err
		}
	}
	r.Source = "--gpus"
	return r, nil
}

// fill takes from the env file what the command line leaves open. Whoever names a GPU means that one,
// whatever its size; how it is used stays the file's business.
func fill(r, file gpu.Request) gpu.Request {
	if !r.Wants() {
		return r
	}
	if r.Caps == nil {
		r.Caps = file.Caps
	}
	if r.Wait == 0 {
		r.Wait = file.Wait
	}
	r.Share = r.Share || file.Share && !r.Alone
	if len(r.IDs) > 0 {
		return r
	}
	if r.MinFree == 0 {
		r.MinFree = file.MinFree
	}
	if r.MinTotal == 0 {
		r.MinTotal = file.MinTotal
	}
	if r.Name == "" {
		r.Name = file.Name
	}
	if r.CC == "" {
		r.CC = file.CC
	}
	if r.MIG == "" {
		r.MIG = file.MIG
	}
	return r
}
