package compat

import "github.com/4cc2e759/sandbox/gpu"

// Need is what an environment asks of the machine's GPUs. The zero value asks for nothing. Fields that are
// not known stay empty and nothing is checked for them.
type Need struct {
	// Frameworks, as locked: "2.5.1", or as claimed: "2.5". TorchBuild is the local part of the version
	// ("+cu121"), "" for the build that comes without asking; JAXBuild is "cuda12" or "cuda13".
	Torch      string `json:"torch"`
	TorchBuild string `json:"torch_build"`
	TensorFlow string `json:"tensorflow"`
	JAX        string `json:"jax"`
	JAXBuild   string `json:"jax_build"`

	CUDA      gpu.Version `json:"cuda"`       // of the framework's libraries, or of the image if there is no framework
	ImageCUDA gpu.Version `json:"image_cuda"` // CUDA_VERSION of the image
	CUDNN     string      `json:"cudnn"`      // "9.1.0.70"
	Driver    string      `json:"driver"`     // lowest driver that the lock itself names
	Compute   []string    `json:"compute"`    // what the lock says the build has code for: "7.0", "8.6", "9.0+PTX"; nil: from the tables
	Require   []string    `json:"require"`    // NVIDIA_REQUIRE_* of the image, all of which must hold
	Python    string      `json:"python"`     // "3.11"; only named in advice
	Machine   string      `json:"machine"`    // "aarch64" where wheels or the caller say so; "" is x86_64, which the tables of builds are for

	Glibc       [2]int `json:"glibc"`        // of the image; the caller's, as no layer is looked at
	WheelGlibc  [2]int `json:"wheel_glibc"`  // the highest that a wheel's file name asks for
	WheelFile   string `json:"wheel_file"`   // that wheel
	DriverGlibc [2]int `json:"driver_glibc"` // the highest that a driver file which must be there asks for; the caller's
	DriverFile  string `json:"driver_file"`  // that file

	CPUBuilds   []string `json:"cpu_builds"`   // builds that use no GPU: "pytorch 2.5.1+cpu"
	OtherBuilds []string `json:"other_builds"` // builds for other vendors' GPUs: "pytorch 2.5.1+rocm6.2"

	Sources map[string]string `json:"sources"` // field → what it was read from: "CUDA" → "nvidia-cuda-runtime-cu12 12.4.127"
}

// Wheel is one wheel of a lock.
type Wheel struct {
	Name    string // as the index writes it
	Version string // with the local part: "2.5.1+cu121"
	File    string // "torch-2.5.1+cu121-cp311-cp311-linux_x86_64.whl"; "" if not known
}

// Any tells whether there is something to check.
func (n Need) Any() bool {
	return n.CUDA.Known() || n.Torch != "" || n.TensorFlow != "" || n.JAX != "" || n.CUDNN != "" || n.Driver != "" ||
		len(n.Require) > 0 || len(n.Compute) > 0 || n.DriverGlibc != [2]int{}
}
