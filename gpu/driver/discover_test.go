package driver

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/internal/hint"
)

func fileNames(files []File) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.Name)
	}
	return out
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, name, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func TestMachines(t *testing.T) {
	usual := []string{"libcuda.so.V", "libcudadebugger.so.V", "libnvidia-allocator.so.V", "libnvidia-cfg.so.V", "libnvidia-gpucomp.so.V", "libnvidia-ml.so.V", "libnvidia-nscq.so.V",
		"libnvidia-nvvm.so.V", "libnvidia-opencl.so.V", "libnvidia-pkcs11-openssl3.so.V", "libnvidia-pkcs11.so.V", "libnvidia-ptxjitcompiler.so.V"}
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(usual), func(n string) bool { return slices.Contains(names, strings.TrimSuffix(n, ".so.V")) })
	}
	for name, want := range map[string][]string{
		"h100x8": usual, "a100-mig": without("libnvidia-nscq"), "laptop-ubuntu2404": without("libnvidia-nscq"), "gke": without("libnvidia-nscq", "libnvidia-gpucomp"),
		"t4-470": without("libnvidia-nscq", "libnvidia-gpucomp", "libcudadebugger", "libnvidia-nvvm", "libnvidia-pkcs11", "libnvidia-pkcs11-openssl3"),
		"wsl2":   {"libcuda.so", "libcuda.so.1", "libcuda.so.1.1", "libdxcore.so", "libnvdxdlkernels.so", "libnvidia-ml.so.1"},
	} {
		t.Run(name, func(t *testing.T) {
			m := gputest.New(t, name)
			s, err := Discover(m.Roots, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range fileNames(s.Files) {
				got = append(got, strings.ReplaceAll(n, ".so."+m.Driver, ".so.V"))
			}
			if !slices.Equal(got, want) {
				t.Errorf("libraries %q\nwant %q", got, want)
			}
			if name != "wsl2" && s.Version != m.Module || s.WSL != (name == "wsl2") || s.Dirs[0] != m.Path(m.LibDir) {
				t.Errorf("version %q, WSL %v, folders %q", s.Version, s.WSL, s.Dirs)
			}
			if n := fileNames(s.Programs); !slices.Contains(n, "nvidia-smi") {
				t.Errorf("programs %q", n)
			}
			for _, f := range append(s.Files, s.Programs...) {
				if f.Size == 0 || f.Inode == 0 || f.Glibc == [3]int{} || !strings.HasPrefix(f.Path, m.Dir) {
					t.Errorf("%+v", f)
				}
			}
			if len(s.Notes) > 0 {
				t.Errorf("notes %q", s.Notes)
			}
		})
	}
}

func TestAllCapabilities(t *testing.T) {
	m := gputest.New(t, "laptop-ubuntu2404")
	s, err := Discover(m.Roots, Options{Caps: gpu.Capabilities()})
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]File{}
	bits := 0
	for _, f := range s.Files {
		if f.Class == 32 {
			bits++
			continue
		}
		by[f.Name] = f
	}
	for name, soname := range map[string]string{"libvdpau_nvidia.so.560.35.03": "libvdpau_nvidia.so.1", "libnvidia-egl-gbm.so.1.1.1": "libnvidia-egl-gbm.so.1", "libGLX_nvidia.so.560.35.03": "libGLX_nvidia.so.0",
		"libnvidia-nvvm.so.560.35.03": "libnvidia-nvvm.so.4"} {
		if by[name].SONAME != soname {
			t.Errorf("%s: %+v", name, by[name])
		}
	}
	if bits < 10 {
		t.Errorf("%d libraries of 32 bit", bits)
	}
	if g := by["libnvidia-tls.so.560.35.03"].Glibc; g != [3]int{2, 34, 0} {
		t.Errorf("glibc %v", g)
	}
	for _, f := range s.Files {
		for _, n := range []string{"libGL.so", "libEGL.so", "libGLX.so", "libGLdispatch", "libOpenCL", "libvulkan", "libnvidia-container", "libglxserver"} {
			if strings.HasPrefix(f.Name, n) {
				t.Errorf("%s is not for a sandbox", f.Name)
			}
		}
	}
	var data []string
	for _, d := range s.Data {
		data = append(data, d.Kind+" "+d.Name)
	}
	if want := []string{"vulkan nvidia_icd.json", "vulkan-layer nvidia_layers.json", "egl 10_nvidia.json", "egl-platform 10_nvidia_wayland.json", "egl-platform 15_nvidia_gbm.json", "optix nvoptix.bin"}; !slices.Equal(data, want) {
		t.Errorf("%q, want %q", data, want)
	}
}

func TestErrors(t *testing.T) {
	m := gputest.New(t, "mismatch")
	_, err := Discover(m.Roots, Options{})
	var mismatch *MismatchError
	if !errors.As(err, &mismatch) || mismatch.Module != m.Module || !slices.Equal(mismatch.Libraries, []string{m.Driver}) || len(hint.Of(err)) != 1 {
		t.Errorf("mismatch: %v", err)
	}
	// The libraries of the loaded module in a folder of their own are as good.
	write(t, m.Path("opt/old/lib64/libcuda.so."+m.Module), gputest.ELF{SONAME: "libcuda.so.1"}.Bytes())
	if s, err := Discover(m.Roots, Options{DriverRoot: "/opt/old"}); err != nil || len(s.Files) != 1 || s.Files[0].Path != m.Path("opt/old/lib64/libcuda.so."+m.Module) {
		t.Errorf("driver root: %v %v", s, err)
	}

	m = gputest.New(t, "no-driver")
	var none *NoModuleError
	if _, err = Discover(m.Roots, Options{}); !errors.As(err, &none) || len(hint.Of(err)) != 1 {
		t.Errorf("no driver: %v", err)
	}
	var lost *NotFoundError
	if _, err = Discover(m.Roots, Options{Version: "580.95.05"}); !errors.As(err, &lost) || !slices.Contains(lost.Searched, m.Path("usr/lib64")) {
		t.Errorf("no libraries: %v", err)
	}

	m = gputest.New(t, "h100x8")
	if err := os.Truncate(m.Path(m.LibDir+"/libcuda.so."+m.Driver), 1000); err != nil {
		t.Fatal(err)
	}
	if _, err = Discover(m.Roots, Options{}); !errors.As(err, &lost) || !strings.Contains(err.Error(), "is left out: not a usable ELF file") {
		t.Errorf("cut off: %v", err)
	}
}

func TestOnlyWhatIsWantedIsOpened(t *testing.T) {
	m := gputest.New(t, "h100x8")
	for _, n := range []string{"libnvidia-glcore", "libnvcuvid", "libnvidia-ngx"} {
		write(t, m.Path(m.LibDir+"/"+n+".so."+m.Driver), []byte("no ELF"))
	}
	s, err := Discover(m.Roots, Options{})
	if err != nil || len(s.Notes) != 0 {
		t.Errorf("%v, notes %q", err, s.Notes)
	}
	s, err = Discover(m.Roots, Options{Caps: gpu.Capabilities()})
	if err != nil || len(s.Notes) != 3 {
		t.Errorf("%v, notes %q", err, s.Notes)
	}
}

// The next start after a driver upgrade has other files: nothing is kept.
func TestAnUpgradeIsSeen(t *testing.T) {
	m := gputest.New(t, "gke")
	if _, err := Discover(m.Roots, Options{}); err != nil {
		t.Fatal(err)
	}
	write(t, m.Path("proc/driver/nvidia/version"), []byte("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  Wed Jun  5 06:11:29 UTC 2024\n"))
	write(t, m.Path(m.LibDir+"/libcuda.so.550.90.07"), gputest.ELF{SONAME: "libcuda.so.1"}.Bytes())
	s, err := Discover(m.Roots, Options{})
	if err != nil || s.Version != "550.90.07" || len(s.Files) != 1 || s.Files[0].Name != "libcuda.so.550.90.07" {
		t.Errorf("%+v %v", s, err)
	}
}

// A file whose name nobody has heard of is the driver's if it carries the driver's version.
func TestNewNamesAreTaken(t *testing.T) {
	m := gputest.New(t, "h100x8")
	write(t, m.Path(m.LibDir+"/libnvidia-tomorrow.so."+m.Driver), gputest.ELF{SONAME: "libnvidia-tomorrow.so.1"}.Bytes())
	write(t, m.Path(m.LibDir+"/libnvidia-nvvm70.so.4"), gputest.ELF{SONAME: "libnvidia-nvvm70.so.4"}.Bytes())
	write(t, m.Path(m.LibDir+"/libGL.so."+m.Driver), gputest.ELF{SONAME: "libGL.so.1"}.Bytes())
	s, err := Discover(m.Roots, Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := fileNames(s.Files)
	if !slices.Contains(n, "libnvidia-tomorrow.so."+m.Driver) || !slices.Contains(n, "libnvidia-nvvm70.so.4") || slices.Contains(n, "libGL.so."+m.Driver) {
		t.Errorf("%q", n)
	}
}

func TestPlacesOfDistributions(t *testing.T) {
	const version = "570.133.20"
	lib := gputest.ELF{SONAME: "libcuda.so.1", Glibc: "2.9"}.Bytes()
	for name, build := range map[string]func(dir string) string{
		// Links of NixOS are absolute; below a replaced root they stay there.
		"nixos": func(dir string) string {
			store := "nix/store/abc-nvidia-x11-570/lib/libcuda.so." + version
			write(t, filepath.Join(dir, store), lib)
			link(t, filepath.Join(dir, "nix/store/def-graphics-drivers/lib/libcuda.so."+version), "/"+store)
			link(t, filepath.Join(dir, "run/opengl-driver"), "/nix/store/def-graphics-drivers")
			return store
		},
		"kubernetes": func(dir string) string { return "usr/local/nvidia/lib64/libcuda.so." + version },
		"flatcar": func(dir string) string {
			link(t, filepath.Join(dir, "opt/nvidia/current"), "/opt/nvidia/570.133.20/4152.2.0")
			return "opt/nvidia/570.133.20/4152.2.0/lib64/libcuda.so." + version
		},
		"cos":    func(dir string) string { return "var/lib/nvidia/lib64/libcuda.so." + version },
		"debian": func(dir string) string { return "usr/lib/" + multiarch() + "/nvidia/current/libcuda.so." + version },
		"root":   func(dir string) string { return "my/driver/libcuda.so." + version },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			at := filepath.Join(dir, build(dir))
			write(t, at, lib)
			s, err := Discover(gpu.Below(dir), Options{Version: version, DriverRoot: map[string]string{"root": "/my/driver"}[name]})
			if err != nil || len(s.Files) != 1 || s.Files[0].Path != at || s.Files[0].Glibc != [3]int{2, 9, 0} {
				t.Errorf("%+v %v", s, err)
			}
		})
	}
}

func TestLinksStayBelowTheRoot(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a/b/file"), nil)
	link(t, filepath.Join(dir, "up"), "../../../../../../a")
	link(t, filepath.Join(dir, "abs"), "/up/b")
	link(t, filepath.Join(dir, "loop"), "loop")
	if got, err := inRoot(dir, "/abs/file"); err != nil || got != filepath.Join(dir, "a/b/file") {
		t.Errorf("%s %v", got, err)
	}
	if got, err := inRoot(dir, "../../etc/passwd"); err == nil {
		t.Errorf("it leads to %s", got)
	}
	if _, err := inRoot(dir, "/loop"); err == nil {
		t.Error("a loop has an end")
	}
	if got, err := inRoot("/", "/proc/../etc"); err != nil || got != "/etc" {
		t.Errorf("%s %v", got, err)
	}
}

func TestSockets(t *testing.T) {
	m := gputest.New(t, "h100x8")
	kinds := func(env map[string]string) (out []string, notes []string) {
		s, err := Discover(m.Roots, Options{Environ: env})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range s.Sockets {
			out = append(out, x.Kind+" "+strings.TrimPrefix(x.Path, m.Dir))
		}
		return out, s.Notes
	}
	services := []string{"persistenced /run/nvidia-persistenced/socket", "fabricmanager /run/nvidia-fabricmanager/socket"}
	if got, _ := kinds(nil); !slices.Equal(got, services) {
		t.Errorf("%q", got)
	}
	if got, notes := kinds(map[string]string{"CUDA_MPS_PIPE_DIRECTORY": "/run/mps"}); !slices.Equal(got, services) || len(notes) != 1 {
		t.Errorf("%q %q", got, notes)
	}
	write(t, m.Path("tmp/nvidia-mps/control"), nil)
	write(t, m.Path("run/mps/control"), nil)
	if got, _ := kinds(nil); !slices.Equal(got, append(services, "mps /tmp/nvidia-mps")) {
		t.Errorf("%q", got)
	}
	if got, notes := kinds(map[string]string{"CUDA_MPS_PIPE_DIRECTORY": "/run/mps"}); !slices.Equal(got, append(services, "mps /run/mps")) || len(notes) != 0 {
		t.Errorf("%q %q", got, notes)
	}
}
