package compat

// Problem is one reason why an environment does not work on a machine, or works less well than it seems.
// The texts are plain English without a final period.
type Problem struct {
	// ID names the kind of problem and stays the same over versions of the tool, so that an override can
	// be recorded: one of the constants below, for a framework with its name behind a hyphen
	// ("kernels-pytorch").
	ID     string   `json:"id"`
	Text   string   `json:"text"`
	Need   string   `json:"need"`             // "driver >= 525.60.13"
	Have   string   `json:"have"`             // "470.82.01"
	Ways   []string `json:"ways,omitempty"`   // at most three that work here, the nearest first; with the first problem of a framework only
	Blocks bool     `json:"blocks"`           // it cannot work; false: a remark
	Source string   `json:"source,omitempty"` // what the fact rests on
}

// IDs of problems.
const (
	IDDriver      = "driver"       // the driver is too old for the CUDA version; "driver-pytorch" for a framework
	IDKernels     = "kernels"      // the build has no code for the GPU; with the framework's name, or "kernels-cuda"
	IDCompiled    = "compiled"     // the build runs there only after the driver compiled it; with the framework's name
	IDLegacyGPU   = "legacy-gpu"   // the driver no longer supports the GPU
	IDCUDNN       = "cudnn"        // cuDNN does not support the GPU
	IDRequire     = "require"      // NVIDIA_REQUIRE_* of the image does not hold
	IDRequireText = "require-text" // NVIDIA_REQUIRE_* of the image cannot be read
	IDGlibcWheel  = "glibc-wheel"  // a wheel needs a newer glibc than the image has
	IDGlibcDriver = "glibc-driver" // the driver's files need a newer glibc than the image has
	IDCPUBuild    = "cpu-build"    // the build uses no GPU
	IDOtherGPU    = "other-gpu"    // the build is for another vendor's GPUs
)

// Blocking are the problems of ps that block.
func Blocking(ps []Problem) []Problem {
	var out []Problem
	for _, p := range ps {
		if p.Blocks {
			out = append(out, p)
		}
	}
	return out
}
