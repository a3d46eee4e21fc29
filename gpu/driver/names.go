package driver

import (
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// defaults is what a program gets that asks for nothing in particular.
func defaults() []gpu.Capability { return []gpu.Capability{gpu.Compute, gpu.Utility} }

// group is the table of names: file name up to ".so" → whose it is. It only groups; a new name of a
// versioned file is found without it and goes to everybody (capsOf).
var group = map[string][]gpu.Capability{
	"libnvidia-ml": {gpu.Utility}, "libnvidia-cfg": {gpu.Utility}, "libnvidia-nscq": {gpu.Utility}, "libnvsdm": {gpu.Utility}, "libnvidia-sandboxutils": {gpu.Utility},
	"libcuda": {gpu.Compute}, "libcudadebugger": {gpu.Compute}, "libnvidia-opencl": {gpu.Compute}, "libnvidia-ptxjitcompiler": {gpu.Compute},
	"libnvidia-fatbinaryloader": {gpu.Compute}, "libnvidia-compiler": {gpu.Compute}, "libnvidia-pkcs11": {gpu.Compute}, "libnvidia-pkcs11-openssl3": {gpu.Compute},
	"libnvidia-nvvm": {gpu.Compute}, "libnvidia-nvvm70": {gpu.Compute}, "libnvidia-tileiras": {gpu.Compute},
	"libnvidia-gpucomp": {gpu.Compute, gpu.Graphics, gpu.Display}, "libnvidia-allocator": {gpu.Compute, gpu.Graphics, gpu.Display},
	"libnvcuvid": {gpu.Video}, "libnvidia-encode": {gpu.Video}, "libnvidia-opticalflow": {gpu.Video}, "libvdpau_nvidia": {gpu.Video},
	"libnvidia-ngx":     {gpu.NGX},
	"libnvidia-eglcore": graphics, "libnvidia-glcore": graphics, "libnvidia-tls": graphics, "libnvidia-glsi": graphics, "libnvidia-fbc": graphics, "libnvidia-ifr": graphics,
	"libnvidia-rtcore": graphics, "libnvidia-glvkspirv": graphics, "libnvidia-cbl": graphics, "libnvidia-vksc-core": graphics, "libnvidia-present": graphics, "libnvoptix": graphics,
	"libGLX_nvidia": graphics, "libEGL_nvidia": graphics, "libGLESv2_nvidia": graphics, "libGLESv1_CM_nvidia": graphics,
	"libnvidia-egl-wayland": graphics, "libnvidia-egl-wayland2": graphics, "libnvidia-egl-gbm": graphics, "libnvidia-egl-xcb": graphics, "libnvidia-egl-xlib": graphics, "libnvidia-api": graphics,
}

var graphics = []gpu.Capability{gpu.Graphics, gpu.Display}

// never are names that drivers install with their version and that no sandbox may get: GLVND's own (an
// image has its own, built for its libc), parts of the X server, and the windows of nvidia-settings.
var never = []string{
	"libGL", "libEGL", "libGLX", "libOpenGL", "libGLdispatch", "libGLESv1_CM", "libGLESv2", "libOpenCL",
	"libglxserver_nvidia", "libglx", "libnvidia-wfb", "libnvidia-gtk2", "libnvidia-gtk3", "libnvidia-wayland-client",
}

// otherwise are files of the driver that carry versions of their own: the platform parts of EGL, the
// compiler of the older NVVM, and the GPU's direct interface.
var otherwise = map[string]bool{
	"libnvidia-egl-wayland": true, "libnvidia-egl-wayland2": true, "libnvidia-egl-gbm": true, "libnvidia-egl-xcb": true, "libnvidia-egl-xlib": true,
	"libnvidia-nvvm70": true, "libnvidia-api": true,
}

// capsOf says whose a file of this driver is. ok is false for files that are not the driver's or that
// nobody gets.
func capsOf(name, version string) (caps []gpu.Capability, ok bool) {
	base, v, versioned := cutVersion(name)
	if slices.Contains(never, base) {
		return nil, false
	}
	if !versioned || v != version {
		base, rest, _ := strings.Cut(name, ".so.")
		return group[base], otherwise[base] && !versioned && rest != ""
	}
	if caps, ok = group[base]; !ok {
		caps = []gpu.Capability{gpu.Compute, gpu.Utility, gpu.Video, gpu.Graphics, gpu.Display, gpu.NGX} // a name of the future
	}
	return caps, true
}

// wanted tells whether any of caps is asked for.
func wanted(caps, asked []gpu.Capability) bool {
	return slices.ContainsFunc(caps, func(c gpu.Capability) bool { return slices.Contains(asked, c) })
}
