package oracle

import "slices"

// notCompared are machines that nvcdi cannot be run for.
var notCompared = map[string]string{
	"wsl2": "nvcdi asks libdxcore of Windows for the folders of the driver, and there is no fake of that; its nvml mode fails there, for a GPU has no minor number",
}

// refusals are the broken machines: what nvcdi says of them and what we say; "" where one goes on.
var refusals = map[string]struct{ theirs, ours, why string }{
	"mismatch":  {theirs: "Driver/library version mismatch", ours: "the NVIDIA kernel module is 580.82.07 and the driver's libraries are 580.95.05"},
	"no-uvm":    {ours: "nvidia-uvm", why: "nvcdi leaves out nodes that it does not find; CUDA cannot start without this one"},
	"lost":      {theirs: "GPU is lost", why: "we leave that GPU out and give the others"},
	"no-driver": {theirs: "ERROR_LIBRARY_NOT_FOUND", ours: "no NVIDIA kernel module is loaded"},
	"denied":    {theirs: "Insufficient Permissions", why: "the test runs as root, who may open all nodes; that others may not is tested in gpu/inject"},
	"hang":      {theirs: notRun, why: "nvcdi hangs as NVML does; our choice needs no NVML"},
	"no-symbol": {theirs: "undefined symbol: nvmlInit", why: "it kills nvcdi's process; our choice needs no NVML"},
	"unknown":   {theirs: "Unknown Error", why: "our choice needs no NVML: the procfs inventory will do"},
}

const notRun = "not run"

// differences are all that are meant. Each has to occur somewhere, unless it is expected.
var differences = []explained{
	{who: "theirs", asked: "default", kind: "file", names: libs(video, ngx, graphics), why: "not asked for: nvcdi describes the whole driver, we give what belongs to compute and utility"},
	{who: "theirs", asked: "default", kind: "link", names: append(libs(video, ngx, graphics), "libnvidia-opticalflow.so", "libGLX_indirect.so.0", "nvidia-drm_gbm.so"),
		why: "links to libraries that are not asked for; GBM finds its back end only with the graphics files"},
	{who: "theirs", asked: "default", kind: "node", names: []string{"/dev/nvidia-modeset"}, why: "graphics and display only, as in libnvidia-container"},
	{who: "theirs", asked: "default", kind: "file", names: []string{"/usr/share/vulkan/*/nvidia_*.json", "/usr/share/glvnd/egl_vendor.d/10_nvidia.json",
		"/usr/share/egl/egl_external_platform.d/1?_nvidia_*.json", "/usr/share/nvidia/nvoptix.bin"}, why: "graphics only"},
	{who: "theirs", asked: "default", kind: "node", names: []string{"/dev/dri/card*", "/dev/dri/renderD*"}, expected: true, why: "graphics only; occurs where a fake machine's sysfs has DRM nodes of an NVIDIA GPU"},

	{who: "theirs", kind: "file", names: []string{"gsp_*.bin"}, why: "firmware is loaded by the kernel, from the host: nothing in a sandbox reads it"},
	{who: "theirs", kind: "file", names: []string{"libglxserver_nvidia.so.*"}, why: "a module of the X server"},
	{who: "theirs", kind: "link", names: []string{"libglxserver_nvidia.so"}, why: "a module of the X server"},
	{who: "theirs", machine: "h100x8", kind: "file", names: []string{"nvidia-imex"}, why: "a daemon of the host"},

	{who: "ours", machine: "h100x8", kind: "node", names: []string{"/dev/nvidia-caps-imex-channels/channel0"}, why: "NVLink between machines; nvcdi has a mode of its own for it (imex), and the program needs both"},
	{who: "ours", machine: "t4-470", kind: "file", names: []string{"/usr/lib/nvidia/tesla-470/nvidia-*"}, why: "Debian has only nvidia-smi in PATH, where nvcdi looks; MPS belongs to the driver as well"},
	{who: "ours", machine: "gke", kind: "file", names: []string{"/run/nvidia-persistenced/socket"}, why: "nvcdi looks for sockets below the driver's root, /home/kubernetes/bin/nvidia; the daemon listens in the machine's /run"},
	{who: "ours", machine: "laptop-ubuntu2404", asked: "everything", kind: "link", names: []string{"libnvidia-egl-gbm.so.1", "libnvidia-egl-wayland.so.1"}, why: "nvcdi leaves these to the ldconfig that its hook runs; we run none"},
}

var (
	ngx      = []string{"libnvidia-ngx"}
	video    = []string{"libnvcuvid", "libnvidia-encode", "libnvidia-opticalflow", "libvdpau_nvidia"}
	graphics = []string{"libnvidia-eglcore", "libnvidia-glcore", "libnvidia-tls", "libnvidia-glsi", "libnvidia-fbc", "libnvidia-rtcore", "libnvidia-glvkspirv", "libnvoptix",
		"libGLX_nvidia", "libEGL_nvidia", "libGLESv2_nvidia", "libGLESv1_CM_nvidia", "libnvidia-egl-gbm", "libnvidia-egl-wayland"}
)

// libs are patterns for all versions and SONAMEs of libraries.
func libs(lists ...[]string) (out []string) {
	for _, n := range slices.Concat(lists...) {
		out = append(out, n+".so.*")
	}
	return out
}
