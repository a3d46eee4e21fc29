package cdi

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

func TestUnknownDevice(t *testing.T) {
	h := amd(t)
	var unknown *UnknownError
	err := h.fails([]string{"amd.com/gpus=0"}, "no such device: amd.com/gpus=0")
	if !errors.As(err, &unknown) || unknown.Near != "amd.com/gpu=0" {
		t.Errorf("%#v", err)
	}
	equal(t, "hints", hint.Of(err), []string{"meant: amd.com/gpu=0? there are amd.com/gpu=0, amd.com/gpu=1, amd.com/gpu=all"})
	equal(t, "hints", hint.Of(h.fails([]string{"other.org/accelerator=one"})), []string{"there are amd.com/gpu=0, amd.com/gpu=1, amd.com/gpu=all"})

	h.must(os.RemoveAll(h.path("etc/cdi")))
	err = h.fails([]string{"nvidia.com/gpu=0"}, "no such device: nvidia.com/gpu=0")
	if got := strings.Join(hint.Of(err), ""); !strings.Contains(got, "no device is described in "+h.dir+"/etc/cdi, "+h.dir+"/var/run/cdi") || !strings.Contains(got, "nvidia-ctk cdi generate") {
		t.Errorf("hint %q", got)
	}
}

func TestNamesThatNoDeviceHas(t *testing.T) {
	h := newHost(t)
	for _, name := range []string{"", "/dev/kfd", "gpu", "amd.com/gpu", "amd.com/gpu=", "=0", "amd.com=0", "amd.com/gpu=a b", "../x/y=0", "a/b=\x1b[2J"} {
		err := h.fails([]string{name}, "not the name of a device")
		if strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("control characters: %q", err)
		}
		equal(t, "hints", hint.Of(err), []string{"--device VENDOR/CLASS=NAME, as in --device amd.com/gpu=0"})
	}
	h.fails(make([]string, 300), "too many")
}

func TestBrokenFilesAreNamedAndDoNotStopTheRest(t *testing.T) {
	h := amd(t)
	h.file("etc/cdi/a.yaml", "{{{")
	h.file("etc/cdi/b.json", "")
	h.file("etc/cdi/c.yaml", "cdiVersion: 0.5.0\nkind: x.com/y\nnew: 1\ndevices: [{name: z}]\n")
	h.file("etc/cdi/notes.txt", "not a description")
	h.link("etc/cdi/d.yaml", "/nowhere")
	h.must(unix.Mkfifo(h.path("etc/cdi/e.yaml"), 0o644))
	h.file("etc/cdi/f.yaml", strings.Repeat("#", maxFile+1))
	h.file("etc/cdi/g.json", `{"cdiVersion":"0.6.0","kind":"amd.com/gpu","devices":[{"name":"9","containerEdits":{"env":["A=b"]}}]}`)
	h.must(os.Chmod(h.path("etc/cdi/g.json"), 0o666))
	h.must(os.MkdirAll(h.path("etc/cdi/h.yaml"), 0o755))
	e := h.resolve("amd.com/gpu=0")
	want := map[string]string{"a.yaml": "", "b.json": "", "c.yaml": "field new not found", "d.yaml": "no such file", "e.yaml": "not a regular file",
		"f.yaml": "larger than 1024 KiB", "g.json": "everybody can write to it"}
	if len(e.Notes) != len(want) {
		t.Errorf("notes %q", e.Notes)
	}
	all := strings.Join(e.Notes, "\n")
	for name, why := range want {
		if !strings.Contains(all, "not used: "+filepath.Join(h.dir, "etc/cdi", name)+": ") || !strings.Contains(all, why) {
			t.Errorf("no note about %s, %s in %s", name, why, all)
		}
	}
	devices, bad := List(h.Options)
	if len(devices) != 3 || len(bad) != len(want) || devices[2].Name != "amd.com/gpu=all" {
		t.Errorf("%+v %+v", devices, bad)
	}
	// The device may well be in a file that cannot be read.
	h.fails([]string{"x.com/y=z"}, "no such device in the files that can be used: x.com/y=z", "c.yaml")
}

// The later folder wins; within one folder nobody can tell.
func TestOneDeviceDescribedTwice(t *testing.T) {
	h := newHost(t)
	one := func(v string) string {
		return `{"cdiVersion":"0.6.0","kind":"v.com/c","devices":[{"name":"0","containerEdits":{"env":["A=` + v + `"]}}]}`
	}
	h.file("etc/cdi/v.json", one("static"))
	h.file("var/run/cdi/v.json", one("generated"))
	if got := h.resolve("v.com/c=0").Env["A"]; got != "generated" {
		t.Errorf("got %s", got)
	}
	h.file("var/run/cdi/w.json", one("other"))
	h.fails([]string{"v.com/c=0"}, "no such device", "v.com/c=0: also described in", "var/run/cdi/v.json", "var/run/cdi/w.json")

	o := h.Options
	o.Dirs = []string{filepath.Join(h.dir, "etc/cdi")}
	if e, err := Resolve([]string{"v.com/c=0"}, o); err != nil || e.Env["A"] != "static" {
		t.Errorf("%+v %v", e, err)
	}
}

func TestWhatASandboxCannotDoIsSaid(t *testing.T) {
	h := newHost(t)
	h.device(`{env: [A=b], intelRdt: {closID: fast}, additionalGids: [0, 4242, 4242]}`)
	e := h.resolve("vendor.com/thing=0")
	notes := strings.Join(e.Notes, "\n")
	if len(e.Groups) != 1 || e.Groups[0] != 4242 || !strings.Contains(notes, "group 4242 of this machine, and you are not") || !strings.Contains(notes, "intelRdt") {
		t.Errorf("%+v", e)
	}
	h.device(`{netDevices: [{hostInterfaceName: rdma0, name: eth1}]}`)
	h.fails([]string{"vendor.com/thing=0"}, "network interfaces are not moved into a sandbox: rdma0")
}

func TestTwoThingsForOnePlace(t *testing.T) {
	h := newHost(t)
	h.file("a", "")
	h.file("b", "")
	h.device(`{mounts: [{hostPath: /a, containerPath: /x}, {hostPath: /b, containerPath: /y/../x}]}`)
	h.fails([]string{"vendor.com/thing=0"}, "two things for one place: /a and /b at /x")
	// The same twice is fine, and folders come before what lies in them.
	h.device(`{mounts: [{hostPath: /a, containerPath: /x/y/z}, {hostPath: /a, containerPath: /x/y/z}, {hostPath: /etc, containerPath: /x}]}`)
	e := h.resolve("vendor.com/thing=0")
	if len(e.Binds) != 2 || e.Binds[0].Target != "/x" {
		t.Errorf("%+v", e.Binds)
	}
}

func TestNodesThatThisUserCannotOpen(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("root can open everything; this runs as ordinary users below")
		return
	}
	h := amd(t)
	// Tools that write with the library leave files that only root can read.
	h.file("etc/cdi/intel.yaml", "")
	h.must(os.Chmod(h.path("etc/cdi/intel.yaml"), 0))
	err := h.fails([]string{"intel.com/gpu=0"}, "etc/cdi/intel.yaml: permission denied")
	if got := hint.Of(err); len(got) != 2 || got[1] != "sudo chmod a+r "+h.path("etc/cdi/intel.yaml") {
		t.Errorf("hints %q", got)
	}
	h.must(os.Remove(h.path("etc/cdi/intel.yaml")))
	h.must(os.Chmod(h.path("dev/dri/card1"), 0o060))
	e := h.resolve("amd.com/gpu=0")
	if len(e.Notes) != 1 || !strings.HasPrefix(e.Notes[0], "you may not open /dev/dri/card1: it belongs to group ") {
		t.Errorf("%q", e.Notes)
	}
	h.must(os.Chmod(h.path("dev/dri/renderD128"), 0))
	h.must(os.Chmod(h.path("dev/kfd"), 0))
	h.fails([]string{"amd.com/gpu=0"}, "you may open none of its nodes", "/dev/kfd: permission denied")
}

func TestInfiniBand(t *testing.T) {
	h := newHost(t)
	if got := InfiniBand(h.Roots); got != nil {
		t.Errorf("no adapter: %+v", got)
	}
	for _, n := range []string{"uverbs10", "uverbs2", "umad0", "issm0", "rdma_cm"} {
		h.link("dev/infiniband/"+n, "/dev/null")
	}
	for _, n := range []string{"uverbs", "umad0x", "other", "ucm0"} {
		h.link("dev/infiniband/"+n, "/dev/null")
	}
	h.file("dev/infiniband/uverbs3", "not a node")
	equal(t, "nodes", targets(&Edits{Nodes: InfiniBand(h.Roots)}), []string{"/dev/infiniband/issm0", "/dev/infiniband/rdma_cm", "/dev/infiniband/umad0",
		"/dev/infiniband/uverbs10", "/dev/infiniband/uverbs2"})
	InfiniBand(gpu.HostRoots())
}

// The same tests as people who may not make device nodes.
func TestAsOrdinaryUsers(t *testing.T) {
	testenv.Need(t, "root", "users")
	dir := testenv.PublicDir(t)
	self, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = errors.Join(os.WriteFile(filepath.Join(dir, "cdi.test"), self, 0o755), exec.Command("cp", "-r", "testdata", dir).Run())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{testenv.WithSubuid, testenv.WithoutSubuid} {
		u := testenv.As(t, name)
		cmd := u.Command(filepath.Join(dir, "cdi.test"), "-test.run", "^Test", "-test.skip", "^TestAsOrdinaryUsers$")
		cmd.Dir = dir
		done := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("as %s: %v\n%s", name, err, out)
		}
		done.Stop()
	}
}
