package inject

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/driver/ldcache"
	"github.com/4cc2e759/sandbox/gpu/gputest"
)

func TestHostileImages(t *testing.T) {
	m := gputest.New(t, "gke")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.MkdirAll(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(outside+"/ld.so.cache", ldcache.Write([]ldcache.Entry{{Name: "libevil.so", Path: "/evil", Flags: 0x303}}), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		remove, at, content string
		lower               bool   // there is one all the same
		note                string //
	}{
		"etc is a link":                {"etc", "etc", "-> /usr/etc", false, "/etc of the image is a link"},
		"etc is a link to the outside": {"etc", "etc", "-> " + outside, false, "/etc of the image is a link"},
		"etc is a file":                {"etc", "etc", "x", false, "/etc of the image is no folder"},
		"conf.d is a link":             {"etc/ld.so.conf.d", "etc/ld.so.conf.d", "-> ../usr", false, "/etc/ld.so.conf.d of the image is a link"},
		"conf.d is a pipe":             {"etc/ld.so.conf.d", "etc/ld.so.conf.d", "|", false, "/etc/ld.so.conf.d of the image is no folder"},
		"conf.d is missing":            {"etc/ld.so.conf.d", "etc/other", "x", true, ""},
		"the cache is a link outside":  {"", "etc/ld.so.cache", "-> " + outside + "/ld.so.cache", true, ""},
		"the cache climbs out":         {"", "etc/ld.so.cache", "-> ../../../../../.." + outside + "/ld.so.cache", true, ""},
		"the cache is a pipe":          {"", "etc/ld.so.cache", "|", true, "ld.so.cache is not usable"},
		"the cache is a folder":        {"", "etc/ld.so.cache", "/", true, "ld.so.cache is not usable"},
		"the cache is a loop":          {"", "etc/ld.so.cache", "-> ld.so.cache", true, "ld.so.cache is not usable"},
		"the cache is text":            {"", "etc/ld.so.cache", "hello", true, "ld.so.cache is not usable"},
		"usr/lib leads outside":        {"usr/lib", "usr/lib", "-> " + outside, true, "ld-linux"},
		"the conf is a pipe":           {"etc/ld.so.conf", "etc/ld.so.conf", "|", true, "does not read ld.so.conf.d"},
		"no conf":                      {"etc/ld.so.conf", "etc/x", "y", true, "does not read ld.so.conf.d"},
		"compat is a loop":             {"usr/local/cuda", "usr/local/cuda", "-> cuda", true, ""},
		"compat is the root":           {"usr/local/cuda-12.4/compat", "usr/local/cuda-12.4/compat", "-> /", true, ""},
		"compat is ours":               {"usr/local/cuda-12.4/compat", "usr/local/cuda-12.4/compat", "-> /run/sandbox/gpu/lib64", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tr := debian(t)
			if c.remove != "" {
				if err := os.RemoveAll(filepath.Join(tr.dir, c.remove)); err != nil {
					t.Fatal(err)
				}
			}
			tr.write(c.at, c.content)
			tr.write("run/sandbox/gpu/lib64/libcuda.so.999.1", "x")
			tr.write("run/sandbox/gpu/lib64/libcuda.so.1", "x")
			in := inputs(t, m, 1)
			in.Image = tr.image()
			out, late := soon(t, in)
			if late {
				t.Fatal("it hangs")
			}
			if (out.Lower != nil) != c.lower {
				t.Errorf("layer %v, notes %q", out.Lower != nil, out.Notes)
			}
			if c.note != "" && c.note != "ld-linux" && !says(out.Notes, c.note) {
				t.Errorf("%q", out.Notes)
			}
			if !c.lower && out.Env["LD_LIBRARY_PATH"] != Lib64 && out.Record.Libcuda == "host" {
				t.Errorf("neither cache nor variable: %v", out.Env)
			}
			if strings.Contains(string(out.Lower[cacheName]), "libevil") {
				t.Error("a file outside of the image was read")
			}
			for _, x := range out.Masks {
				if below("/run/sandbox", x.Target) || x.Target == "/" || below(x.Target, Dir) {
					t.Errorf("%s would be hidden", x.Target)
				}
			}
		})
	}
}

// soon plans, and tells whether that takes too long: something was opened that nobody writes to.
func soon(t *testing.T, in Inputs) (out *Injection, late bool) {
	t.Helper()
	done := make(chan *Injection, 1)
	go func() {
		o, err := Plan(in)
		if err != nil {
			t.Error(err)
			o = &Injection{}
		}
		done <- o
	}()
	select {
	case out = <-done:
		return out, false
	case <-time.After(20 * time.Second):
		return nil, true
	}
}

func TestHugeFilesAreNotRead(t *testing.T) {
	m := gputest.New(t, "gke")
	tr := debian(t)
	for _, n := range []string{"etc/ld.so.cache", "usr/lib/x86_64-linux-gnu/libc.so.6", "etc/ld.so.conf"} {
		tr.write(n, "x")
		if err := os.Truncate(filepath.Join(tr.dir, n), 1<<40); err != nil {
			t.Fatal(err)
		}
	}
	in := inputs(t, m, 1)
	in.Image = tr.image()
	in.Image.ReadFile = func(name string, _ int64) ([]byte, error) {
		t.Errorf("%s is read", name)
		return nil, os.ErrInvalid
	}
	if out := plan(t, in); !says(out.Notes, "more than") || out.Lower == nil {
		t.Errorf("%q", out.Notes)
	}
}

func TestAnImageWithoutAnything(t *testing.T) {
	in := inputs(t, gputest.New(t, "gke"), 1)
	out := plan(t, in)
	if out.Lower == nil || !says(out.Notes, "no C library was found") || target(out, Bin+"/nvidia-smi") {
		t.Errorf("%q", out.Notes)
	}
}

func TestVariablesOfTheImage(t *testing.T) {
	m := gputest.New(t, "gke")
	tr := debian(t)
	tr.write("opt/conda/lib/libcuda.so.1", "x")
	for _, c := range []struct {
		env   []string
		path  string // LD_LIBRARY_PATH inside; "-" is unset, "" is untouched
		load  string // LD_PRELOAD
		notes []string
	}{
		{nil, "", "", nil},
		{[]string{"LD_LIBRARY_PATH=/opt/lib:/usr/lib/x"}, "", "", nil},
		{[]string{"LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs"}, "-", "", []string{"stubs"}},
		{[]string{"LD_LIBRARY_PATH=/a:/usr/local/cuda/lib64/stubs/:/b"}, "/a:/b", "", []string{"stubs"}},
		{[]string{"LD_LIBRARY_PATH=" + Lib64}, "-", "", nil},
		{[]string{"LD_LIBRARY_PATH=/a:/run/sandbox/gpu/../gpu/lib64"}, "/a", "", nil},
		{[]string{"LD_LIBRARY_PATH=/opt/conda/lib:/a"}, Lib64 + ":/opt/conda/lib:/a", "", []string{"holds parts of a driver"}},
		{[]string{"LD_PRELOAD=" + Lib64 + "/libevil.so"}, "", "-", []string{"LD_PRELOAD"}},
		{[]string{"LD_PRELOAD=/usr/lib/libjemalloc.so.2:/opt/fake/libcuda.so.1 libnvidia-ml.so.1"}, "", "/usr/lib/libjemalloc.so.2", []string{"libcuda.so.1 libnvidia-ml.so.1 is left out"}},
		{[]string{"LD_PRELOAD=/usr/lib/libtcmalloc.so.4"}, "", "", nil},
	} {
		in := inputs(t, m, 1)
		in.CompatMode = "off"
		in.Image = tr.image(c.env...)
		out := plan(t, in)
		for name, want := range map[string]string{"LD_LIBRARY_PATH": c.path, "LD_PRELOAD": c.load} {
			got, set := out.Env[name]
			if slices.Contains(out.Unset, name) {
				got = "-"
			}
			if got != want || set && want == "" {
				t.Errorf("%q: %s=%q, want %q", c.env, name, got, want)
			}
		}
		if len(out.Notes) != len(c.notes) {
			t.Errorf("%q: notes %q", c.env, out.Notes)
		}
		for _, n := range c.notes {
			if !says(out.Notes, n) {
				t.Errorf("%q: notes %q", c.env, out.Notes)
			}
		}
		if out.Env["NVIDIA_VISIBLE_DEVICES"] != "void" || !slices.Contains(out.Unset, "CUDA_VISIBLE_DEVICES") {
			t.Errorf("%v %v", out.Env, out.Unset)
		}
	}
}

func TestNix(t *testing.T) {
	in := inputs(t, gputest.New(t, "gke"), 1)
	in.Image = newTree(t, map[string]string{"nix/store/aaa-glibc-2.40-66/lib/libc.so.6": "x", "nix/store/bbb-glibc-locales-2.40": "/", "nix/store/ccc-glibc-2.38-10/x": "x", "etc/passwd": "x"}).image("LD_LIBRARY_PATH=/a")
	in.Facts = ReadImage(in.Image)
	if !in.Facts.Nix || in.Facts.Libc != "glibc" || in.Facts.Glibc != [2]int{2, 38} {
		t.Errorf("%+v", in.Facts)
	}
	out := plan(t, in)
	if out.Env["LD_LIBRARY_PATH"] != Lib64+":/a" || !slices.Contains(out.Links, Link{"/run/opengl-driver/lib", Lib64, "programs of Nix look for the driver here, and not in ld.so.cache"}) {
		t.Errorf("%v %+v", out.Env, out.Links)
	}
}

// The image's own entries for the same names are gone, also where they are for a certain processor and
// would come first; all others stay.
func TestOursStandForTheImages(t *testing.T) {
	m := gputest.New(t, "gke")
	tr := debian(t)
	tr.write("etc/ld.so.cache", string(ldcache.Write([]ldcache.Entry{
		{Name: "libcuda.so.1", Path: "/usr/lib/libcuda.so.1", Flags: 0x303}, {Name: "libcuda.so.1", Path: "/usr/lib/glibc-hwcaps/x86-64-v3/libcuda.so.1", Flags: 0x303, Sub: "x86-64-v3"},
		{Name: "libcuda.so.1", Path: "/usr/lib32/libcuda.so.1", Flags: 3}, {Name: "libz.so.1", Path: "/lib/libz.so.1", Flags: 0x303},
		{Name: "libz.so.1", Path: "/lib/glibc-hwcaps/x86-64-v3/libz.so.1", Flags: 0x303, Sub: "x86-64-v3"}, {Name: "libold.so.1", Path: Lib64 + "/libold.so.1", Flags: 0x303},
		{Name: "libhidden.so.1", Path: "/usr/local/cuda-12.4/compat/libhidden.so.1", Flags: 0x303},
	})))
	in := inputs(t, m, 1)
	in.Image, in.CompatMode = tr.image(), "off"
	entries, err := ldcache.Parse(plan(t, in).Lower[cacheName])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name, "libcuda.so.1") || !strings.HasPrefix(e.Path, Dir) || e.Name == "libold.so.1" {
			got = append(got, e.Path)
		}
	}
	if want := []string{"/lib/glibc-hwcaps/x86-64-v3/libz.so.1", "/lib/libz.so.1", Lib64 + "/libcuda.so.1", "/usr/lib32/libcuda.so.1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestGraphicsNeedsItsFolders(t *testing.T) {
	m := gputest.New(t, "laptop-ubuntu2404")
	if err := os.WriteFile(m.Path("usr/share/glvnd/egl_vendor.d/10_nvidia.json"), []byte(`{"ICD":{"library_path":"/nix/store/x/lib/libEGL_nvidia.so.0"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.Path("usr/share/vulkan/implicit_layer.d/nvidia_layers.json"), []byte(`{`), 0o644); err != nil {
		t.Fatal(err)
	}
	tr := debian(t)
	tr.write("etc/vulkan", "-> /usr/share/vulkan")
	in := inputs(t, m, 1, gpu.Capabilities()...)
	in.Image = tr.image()
	out := plan(t, in)
	if _, ok := out.Lower["etc/vulkan/icd.d/nvidia_icd.json"]; ok || !says(out.Notes, "nvidia_icd.json is left out: /etc/vulkan") {
		t.Errorf("%q", out.Notes)
	}
	if egl := string(out.Lower["etc/glvnd/egl_vendor.d/10_nvidia.json"]); !strings.Contains(egl, `"library_path": "libEGL_nvidia.so.0"`) {
		t.Errorf("%s", egl)
	}
	in = inputs(t, m, 1)
	in.Image = tr.image()
	if out = plan(t, in); len(out.Lower) != 2 {
		t.Errorf("graphics without being asked: %v", out.Lower)
	}
}

func FuzzMIGMinors(f *testing.F) {
	f.Add([]byte("config 1\nmonitor 2\ngpu0/gi7/ci0/access 67\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, n := range parseMIGMinors(b) {
			if n < 0 || n >= 1<<20 || strings.Contains(name, "\n") {
				t.Errorf("%q %d", name, n)
			}
		}
	})
}
