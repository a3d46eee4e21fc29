package gputest

import "strings"

// lib is one library of the driver. V in its SONAME stands for the version.
type lib struct{ name, soname, glibc, first string }

// libraries of the driver: name without ".so.V", SONAME, highest glibc that it asks for ("" is the
// machine's own figure), first branch that has it.
var libraries = []lib{
	{"libcuda", "libcuda.so.1", "2.9", ""},
	{"libcudadebugger", "libcudadebugger.so.1", "", "515"},
	{"libnvidia-ml", "libnvidia-ml.so.1", "2.7", ""},
	{"libnvidia-cfg", "libnvidia-cfg.so.1", "2.7", ""},
	{"libnvidia-opencl", "libnvidia-opencl.so.1", "", ""},
	{"libnvidia-ptxjitcompiler", "libnvidia-ptxjitcompiler.so.1", "2.7", ""},
	{"libnvidia-allocator", "libnvidia-allocator.so.1", "", ""},
	{"libnvidia-nvvm", "libnvidia-nvvm.so.4", "", "495"},
	{"libnvidia-gpucomp", "libnvidia-gpucomp.so.V", "", "545"},
	{"libnvidia-pkcs11", "libnvidia-pkcs11.so.V", "", "530"},
	{"libnvidia-pkcs11-openssl3", "libnvidia-pkcs11-openssl3.so.V", "", "530"},
	{"libnvidia-nscq", "libnvidia-nscq.so.2", "", ""},
	{"libnvcuvid", "libnvcuvid.so.1", "", ""},
	{"libnvidia-encode", "libnvidia-encode.so.1", "", ""},
	{"libnvidia-opticalflow", "libnvidia-opticalflow.so.1", "", ""},
	{"vdpau/libvdpau_nvidia", "libvdpau_nvidia.so.1", "", ""},
	{"libnvidia-ngx", "libnvidia-ngx.so.1", "", ""},
	{"libnvidia-eglcore", "libnvidia-eglcore.so.V", "", ""},
	{"libnvidia-glcore", "libnvidia-glcore.so.V", "", ""},
	{"libnvidia-tls", "libnvidia-tls.so.V", "", ""},
	{"libnvidia-glsi", "libnvidia-glsi.so.V", "", ""},
	{"libnvidia-fbc", "libnvidia-fbc.so.1", "", ""},
	{"libnvidia-rtcore", "libnvidia-rtcore.so.V", "", ""},
	{"libnvidia-glvkspirv", "libnvidia-glvkspirv.so.V", "", ""},
	{"libnvoptix", "libnvoptix.so.1", "", ""},
	{"libGLX_nvidia", "libGLX_nvidia.so.0", "", ""},
	{"libEGL_nvidia", "libEGL_nvidia.so.0", "", ""},
	{"libGLESv2_nvidia", "libGLESv2_nvidia.so.2", "", ""},
	{"libGLESv1_CM_nvidia", "libGLESv1_CM_nvidia.so.1", "", ""},
}

// only64 have no 32-bit form.
const only64 = " libcudadebugger libnvidia-cfg libnvidia-nscq libnvidia-pkcs11 libnvidia-pkcs11-openssl3 libnvidia-ngx libnvoptix libnvidia-rtcore "

// exports are functions that the fakes have, so that a program may call them.
var exports = map[string][]string{
	"libcuda":                  {"cuInit", "cuDriverGetVersion", "cuDeviceGetCount"},
	"libnvidia-ptxjitcompiler": {"__cuda_CallJitEntryPoint"},
}

func (s *shape) driverFiles(tr *tree) {
	s.libraries(tr, s.libDir, 64)
	if s.lib32 != "" {
		s.libraries(tr, s.lib32, 32)
	}
	for _, p := range []string{"nvidia-smi", "nvidia-debugdump", "nvidia-persistenced", "nvidia-cuda-mps-control", "nvidia-cuda-mps-server"} {
		tr.program(s.binDir+"/"+p, "")
	}
	tr.program("/usr/bin/nvidia-modprobe", "")
	firmware := "/usr/lib/firmware/nvidia/"
	if strings.HasPrefix(s.libDir, "/home/") {
		firmware = "/home/kubernetes/bin/nvidia/firmware/nvidia/"
	}
	for _, f := range []string{"gsp_ga10x.bin", "gsp_tu10x.bin"} {
		tr.file(firmware+s.driver+"/"+f, "firmware\n")
	}
	tr.socket("run/nvidia-persistenced/socket")
	if len(s.devices) == 8 {
		tr.program(s.binDir+"/nv-fabricmanager", "")
		tr.program(s.binDir+"/nvidia-imex", "")
		tr.socket("run/nvidia-fabricmanager/socket")
	}
	s.distribution(tr)
}

// branch is the first number of a version.
func branch(v string) string { b, _, _ := strings.Cut(v, "."); return b }

func (s *shape) libraries(tr *tree, dir string, class int) {
	for _, l := range libraries {
		base := l.name[strings.LastIndexByte(l.name, '/')+1:]
		if branch(s.driver) < l.first || class == 32 && strings.Contains(only64, " "+l.name+" ") || base == "libnvidia-nscq" && len(s.devices) != 8 {
			continue
		}
		glibc := l.glibc
		if glibc == "" {
			glibc = s.glibc
		}
		folder := dir + strings.TrimSuffix("/"+l.name, "/"+base)
		soname := strings.ReplaceAll(l.soname, "V", s.driver)
		tr.library(folder, base+".so."+s.driver, soname, ELF{Class: class, Glibc: glibc, Exports: exports[base]})
		if folder == dir && !strings.HasPrefix(dir, "/home/") {
			tr.cache = append(tr.cache, cacheEntry{soname, dir + "/" + soname, class})
		}
	}
	tr.link(dir+"/libcuda.so", "libcuda.so.1")
	if !strings.HasPrefix(dir, "/home/") {
		tr.cache = append(tr.cache, cacheEntry{"libcuda.so", dir + "/libcuda.so", class})
	}
}

// distribution writes what is not NVIDIA's, or not of the driver's version, and must not be taken along.
func (s *shape) distribution(tr *tree) {
	system := "/usr/lib/x86_64-linux-gnu"
	if s.libDir == "/usr/lib64" {
		system = "/usr/lib64"
	}
	for name, soname := range map[string]string{
		"libGL.so.1.7.0": "libGL.so.1", "libEGL.so.1.1.0": "libEGL.so.1", "libGLX.so.0.0.0": "libGLX.so.0", "libGLdispatch.so.0.0.0": "libGLdispatch.so.0",
		"libOpenCL.so.1.0.0": "libOpenCL.so.1", "libvulkan.so.1.3.275": "libvulkan.so.1", "libnvidia-container.so.1.17.4": "libnvidia-container.so.1",
		"libc.so.6": "libc.so.6",
	} {
		tr.library(system, name, soname, ELF{Glibc: "2.38"})
		tr.cache = append(tr.cache, cacheEntry{soname, system + "/" + soname, 64})
	}
	tr.file("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
	if strings.HasPrefix(s.libDir, system+"/nvidia/") {
		s.alternatives(tr, system)
	}
}

// alternatives is Debian's way: the linker's folder has links over /etc/alternatives into the driver's own.
func (s *shape) alternatives(tr *tree, system string) {
	for _, soname := range []string{"libcuda.so.1", "libnvidia-ml.so.1", "libcuda.so"} {
		name := "nvidia--" + soname + "-x86_64-linux-gnu"
		tr.link("etc/alternatives/"+name, s.libDir+"/"+soname)
		tr.link(system+"/"+soname, "/etc/alternatives/"+name)
		tr.cache = append(tr.cache, cacheEntry{soname, system + "/" + soname, 64})
	}
	tr.link("etc/alternatives/nvidia-smi", s.binDir+"/nvidia-smi")
	tr.link("usr/bin/nvidia-smi", "/etc/alternatives/nvidia-smi")
}
