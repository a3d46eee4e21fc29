package cdi

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/internal/hint"
)

func amd(t *testing.T) *host {
	h := newHost(t)
	h.spec("amd.json")
	h.node("dev/kfd", 234, 0)
	for i := range uint32(2) {
		h.node("dev/dri/card"+decimal(int(i)+1), 226, i+1)
		h.node("dev/dri/renderD"+decimal(int(i)+128), 226, i+128)
	}
	return h
}

func TestAMD(t *testing.T) {
	h := amd(t)
	e := h.resolve("amd.com/gpu=0")
	equal(t, "nodes", targets(e), []string{"/dev/dri/card1", "/dev/dri/renderD128", "/dev/kfd"})
	if want := filepath.Join(h.dir, "dev/kfd"); e.Nodes[2].Source != want {
		t.Errorf("source %s, want %s", e.Nodes[2].Source, want)
	}
	equal(t, "notes", e.Notes, nil)
	// /dev/kfd is of both, and there once.
	equal(t, "nodes of two", targets(h.resolve("amd.com/gpu=0", "amd.com/gpu=1", "amd.com/gpu=0")),
		[]string{"/dev/dri/card1", "/dev/dri/renderD128", "/dev/kfd", "/dev/dri/card2", "/dev/dri/renderD129"})
	if n := len(h.resolve("amd.com/gpu=all").Nodes); n != 5 {
		t.Errorf("all: %d nodes", n)
	}
}

func TestAMDAfterTheNodesChanged(t *testing.T) {
	h := amd(t)
	h.must(os.Remove(h.path("dev/dri/card2")))
	h.resolve("amd.com/gpu=0")
	err := h.fails([]string{"amd.com/gpu=1"}, "amd.com/gpu=1 needs /dev/dri/card2: no such file", "out of date", "etc/cdi/amd.json")
	var stale *StaleError
	if !errors.As(err, &stale) || stale.Path != "/dev/dri/card2" {
		t.Errorf("%#v", err)
	}
	equal(t, "hints", hint.Of(err), []string{"sudo amd-ctk cdi generate --output=" + filepath.Join(h.dir, "etc/cdi/amd.json")})

	h.node("dev/dri/card2", 226, 7)
	h.fails([]string{"amd.com/gpu=1"}, "it is device 226:7 here and 226:2 in the description")

	h.must(os.Remove(h.path("dev/dri/card2")))
	delete(h.nodes, h.path("dev/dri/card2"))
	h.file("dev/dri/card2", "")
	h.fails([]string{"amd.com/gpu=1"}, "/dev/dri/card2: not a device")
}

func TestIntel(t *testing.T) {
	h := newHost(t)
	h.spec("intel.com-gpu.yaml")
	h.node("dev/dri/card1", 226, 1)
	h.node("dev/dri/renderD128", 226, 128)
	h.link("dev/dri/by-path/pci-0000:03:00.0-card", "../card1")
	h.link("dev/dri/by-path/pci-0000:03:00.0-render", "../renderD128")
	e := h.resolve("intel.com/gpu=0000-03-00-0-0x56a0")
	equal(t, "nodes", targets(e), []string{"/dev/dri/card1", "/dev/dri/renderD128",
		"/dev/dri/by-path/pci-0000:03:00.0-card", "/dev/dri/by-path/pci-0000:03:00.0-render"})
	if want := filepath.Join(h.dir, "dev/dri/renderD128"); e.Nodes[3].Source != want {
		t.Errorf("a link is followed on the host: %s", e.Nodes[3].Source)
	}
	if len(e.Binds) > 0 {
		t.Errorf("binds %+v", e.Binds)
	}
	h.must(os.Remove(h.path("dev/dri/renderD128")))
	err := h.fails([]string{"intel.com/gpu=0000-03-00-0-0x56a0"}, "/dev/dri/renderD128: no such file", "by-path/pci-0000:03:00.0-render: no such file")
	equal(t, "hints", hint.Of(err), []string{"sudo intel-cdi-specs-generator --cdi-dir=" + filepath.Join(h.dir, "etc/cdi") + " gpu"})
}

// Intel's manual describes the whole folder of links.
func TestIntelFolderOfLinks(t *testing.T) {
	h := newHost(t)
	h.node("dev/dri/card0", 226, 0)
	h.link("dev/dri/by-path/pci-0000:00:02.0-card", "../card0")
	h.device(`{deviceNodes: [{path: /dev/dri/card0, hostPath: /dev/dri/card0, type: c}],
    mounts: [{hostPath: /dev/dri/by-path, containerPath: /dev/dri/by-path, options: [rw, rbind], type: bind}]}`)
	e := h.resolve("vendor.com/thing=0")
	if len(e.Binds) != 1 || e.Binds[0].Target != "/dev/dri/by-path" || !slices.Equal(e.Binds[0].Flags, []string{"nosuid"}) {
		t.Errorf("%+v", e.Binds)
	}
}

// What Gaudi's hook does (network interfaces of the adapter) nobody here can do for it.
func TestGaudiWantsAHook(t *testing.T) {
	h := newHost(t)
	h.spec("intel.com-gaudi.yaml")
	h.node("dev/accel/accel0", 261, 0)
	h.node("dev/accel/accel_controlD0", 261, 1)
	h.resolve("intel.com/gaudi=0000-19-00-0-0x1020")
	err := h.fails([]string{"intel.com/gaudi=claim"}, "intel.com/gaudi=claim wants /usr/bin/habana-container-hook createRuntime run as createRuntime hook",
		"sandbox runs no program of the host on a sandbox", "intel.com-gaudi.yaml")
	var he *HookError
	if !errors.As(err, &he) || he.Hook != "createRuntime" || he.Program != "/usr/bin/habana-container-hook" {
		t.Errorf("%#v", err)
	}
}

// nvidia puts all that the description names where it says.
func nvidiaHost(t *testing.T) *host {
	h := newHost(t)
	h.spec("nvidia.yaml")
	b, err := os.ReadFile("testdata/nvidia.yaml")
	h.must(err)
	s, err := parse(b)
	h.must(err)
	lists := []specs.ContainerEdits{s.ContainerEdits}
	for _, d := range s.Devices {
		lists = append(lists, d.ContainerEdits)
	}
	for _, e := range lists {
		for _, n := range e.DeviceNodes {
			h.node(n.HostPath, uint32(n.Major), uint32(n.Minor))
		}
		for _, m := range e.Mounts {
			h.file(m.HostPath, "")
		}
	}
	h.file("usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05", string(gputest.ELF{SONAME: "libcuda.so.1"}.Bytes()))
	h.file("usr/lib/x86_64-linux-gnu/libnvidia-tls.so.580.95.05", string(gputest.ELF{SONAME: "libnvidia-tls.so.1"}.Bytes()))
	h.file("usr/lib/x86_64-linux-gnu/libnvidia-glcore.so.580.95.05", string(gputest.ELF{SONAME: "libnvidia-glcore.so.580.95.05"}.Bytes()))
	return h
}

func TestNVIDIA(t *testing.T) {
	h := nvidiaHost(t)
	e := h.resolve("nvidia.com/gpu=1")
	equal(t, "nodes", targets(e), []string{"/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl", "/dev/nvidia1"})
	equal(t, "libraries", e.Libraries, []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/vdpau"})
	if e.Env["NVIDIA_VISIBLE_DEVICES"] != "void" {
		t.Errorf("env %v", e.Env)
	}
	links := map[string]string{}
	for _, l := range e.Links {
		links[strings.TrimPrefix(l.Path, "/usr/lib/x86_64-linux-gnu/")] = l.To
	}
	for at, to := range map[string]string{
		"libcuda.so": "libcuda.so.1", "libcuda.so.1": "libcuda.so.580.95.05", "gbm/nvidia-drm_gbm.so": "../libnvidia-allocator.so.1",
		"libnvidia-tls.so.1": "libnvidia-tls.so.580.95.05", // no hook says it; ldconfig would have
	} {
		if links[at] != to {
			t.Errorf("link %s says %q, want %q", at, links[at], to)
		}
	}
	if len(links) != 18 || len(e.Binds) != 29 {
		t.Errorf("%d links, %d binds", len(links), len(e.Binds))
	}
	for _, b := range e.Binds {
		want := []string{"ro", "nosuid", "nodev"}
		if b.Target == "/run/nvidia-persistenced/socket" {
			want = []string{"nosuid", "nodev", "noexec"}
		}
		equal(t, b.Target, b.Flags, want)
	}
	equal(t, "notes", e.Notes, []string{
		"hook enable-cuda-compat is left out: a newer CUDA driver library of the image (cuda-compat) is not switched on",
		"hook update-application-profile is left out: EGL and Vulkan may list GPUs that the sandbox does not have",
		"--gpus finds NVIDIA GPUs and their driver itself and needs no description",
	})
}

func TestNVIDIAAfterADriverUpdate(t *testing.T) {
	h := nvidiaHost(t)
	h.must(os.Rename(h.path("usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05"), h.path("usr/lib/x86_64-linux-gnu/libcuda.so.590.44.01")))
	err := h.fails([]string{"nvidia.com/gpu=0"}, "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05: no such file", "nvidia.yaml")
	equal(t, "hints", hint.Of(err), []string{"sudo nvidia-ctk cdi generate --output=" + filepath.Join(h.dir, "etc/cdi/nvidia.yaml")})
}

func TestMemoryLimitsAreNotDroppedSilently(t *testing.T) {
	h := newHost(t)
	hooks := `hooks: [{hookName: createRuntime, path: /usr/bin/nvidia-cdi-hook, args: [nvidia-cdi-hook, apply-cuda-memory-limits, --gpu-id, GPU-1]}]`
	h.device(`{` + hooks + `}`)
	h.resolve("vendor.com/thing=0")
	h.device(`{env: [NVIDIA_GPU_MEMORY_LIMIT=4096], ` + hooks + `}`)
	h.fails([]string{"vendor.com/thing=0"}, "apply-cuda-memory-limits", "memory of a GPU is not limited")
}

// Forks of NVIDIA's program, and its older name, do the same.
func TestHooksOfOtherNames(t *testing.T) {
	h := newHost(t)
	h.device(`{hooks: [
    {hookName: createContainer, path: /usr/local/bin/rbln-cdi-hook, args: [rbln-cdi-hook, create-symlinks, "--link=librbln-ml.so.1::/usr/lib64/librbln-ml.so"]},
    {hookName: createContainer, path: /usr/bin/nvidia-ctk, args: [nvidia-ctk, hook, update-ldcache, --ldconfig-path, /sbin/ldconfig, --folder, /usr/lib64/../lib64]},
    {hookName: createContainer, path: /usr/bin/nvidia-ctk, args: [nvidia-ctk, hook, chmod, --mode, "755", --path, /dev/dri]}]}`)
	e := h.resolve("vendor.com/thing=0")
	equal(t, "libraries", e.Libraries, []string{"/usr/lib64"})
	if len(e.Links) != 1 || e.Links[0] != (Link{Path: "/usr/lib64/librbln-ml.so", To: "librbln-ml.so.1", Why: "vendor.com/thing=0"}) {
		t.Errorf("%+v", e.Links)
	}
}
