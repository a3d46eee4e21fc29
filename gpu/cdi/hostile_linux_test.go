package cdi

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
)

func TestPathsAreRefused(t *testing.T) {
	h := newHost(t)
	h.file("a", "")
	h.node("dev/thing", 240, 0)
	h.link("sneaky", "/proc/1")
	h.link("loop", "loop")
	h.link("up", "../../../../../../../../etc/passwd")
	h.file("proc/1/environ", "")
	mount := func(host, to string) string {
		return fmt.Sprintf(`{mounts: [{hostPath: %q, containerPath: %q, options: [ro, bind]}]}`, host, to)
	}
	node := func(to string) string {
		return fmt.Sprintf(`{deviceNodes: [{path: %q, hostPath: /dev/thing}]}`, to)
	}
	link := func(s string) string {
		return fmt.Sprintf(`{hooks: [{hookName: createContainer, path: /usr/bin/nvidia-cdi-hook, args: [x, create-symlinks, --link, %q]}]}`, s)
	}
	for _, c := range []struct{ edits, want string }{
		{mount("/a", "/proc/x"), "sandbox's own /proc: /proc/x"},
		{mount("/a", "/proc"), "sandbox's own /proc"},
		{mount("/a", "/dev/../proc/sys/kernel"), "sandbox's own /proc: /proc/sys/kernel"},
		{mount("/a", "/x/../../../../sys/fs"), "sandbox's own /sys: /sys/fs"},
		{mount("/a", "//proc//self"), "sandbox's own /proc: /proc/self"},
		{mount("/a", "/run/sandbox/gpu/lib64"), "sandbox's own /run/sandbox"},
		{mount("/a", "/var/run/sandbox/x"), "sandbox's own /var/run/sandbox"},
		{mount("/a", "/run"), "hide the sandbox's own /run/sandbox: /run"},
		{mount("/a", "/var/.."), "hide the sandbox's own /proc: /"},
		{mount("/a", "/"), "hide the sandbox's own /proc: /"},
		{mount("/a", "/dev"), "hide the sandbox's own /dev/pts: /dev"},
		{mount("/a", "/dev/shm/x"), "sandbox's own /dev/shm"},
		{mount("/a", "/dev/null"), "every sandbox has its own /dev/null"},
		{mount("/a", "proc/x"), "not an absolute path"},
		{mount("/a", "/x\n/y"), "control characters in a path: /x?/y"},
		{mount("/a", "/x\x1b[2J"), "control characters"},
		{mount("/a", "/"+strings.Repeat("x/", 3000)), "longer than the kernel takes"},
		{mount("/", "/host"), "no device needs this of the host: /"},
		{mount("/x/..", "/host"), "no device needs this of the host: /"},
		{mount("/proc/1/environ", "/e"), "no device needs this of the host: /proc/1/environ"},
		{mount("/sneaky/environ", "/e"), "no device needs this of the host: /proc/1/environ"},
		{mount("/loop", "/e"), "too many links: /loop"},
		{mount("/up", "/e"), "/up: no such file"}, // never the passwd of the machine that runs this
		{mount("/a/b", "/e"), "/a/b: no such file"},
		{mount("a", "/e"), "not an absolute path: a"},
		{node("/proc/x"), "sandbox's own /proc"},
		{node("/dev/../etc/passwd"), "device nodes lie in /dev: /etc/passwd"},
		{node("/dev/tty"), "every sandbox has its own /dev/tty"},
		{node("/dev/pts/ptmx"), "sandbox's own /dev/pts"},
		{mount("/dev/thing", "/srv/thing"), "device nodes lie in /dev: /srv/thing"},
		{link("x::/proc/self/x"), "sandbox's own /proc"},
		{link("x::/../proc"), "sandbox's own /proc"},
		{link("x::relative"), "not an absolute path: relative"},
		{link("a\nb::/x"), "control characters"},
		{link("x"), "argument that is not known: --link x"},
		{link("::/x"), "argument that is not known"},
		{link("a::b::/x"), "argument that is not known"},
	} {
		h.device(c.edits)
		err := h.fails([]string{"vendor.com/thing=0"}, c.want, filepath.Join(h.dir, "etc/cdi/thing.yaml"))
		if strings.ContainsAny(err.Error(), "\x1b") {
			t.Errorf("control characters: %q", err)
		}
	}
}

func TestOtherThingsAreRefused(t *testing.T) {
	h := newHost(t)
	h.file("a", "")
	h.node("dev/thing", 240, 0)
	hook := func(path string, args ...string) string {
		return fmt.Sprintf(`{hooks: [{hookName: createContainer, path: %q, args: ["%s"]}]}`, path, strings.Join(args, `","`))
	}
	for _, c := range []struct{ edits, want string }{
		{`{mounts: [{hostPath: /a, containerPath: /x, options: [shared]}]}`, "mount option that a sandbox does not have: shared"},
		{`{mounts: [{hostPath: /a, containerPath: /x, options: ["lowerdir=/"]}]}`, "mount option that a sandbox does not have: lowerdir=/"},
		{`{mounts: [{hostPath: /a, containerPath: /x, type: overlay}]}`, "not overlay: /x"},
		{`{mounts: [{hostPath: tmpfs, containerPath: /x, type: tmpfs}]}`, "not tmpfs: /x"},
		{`{deviceNodes: [{path: /dev/thing, type: p}]}`, "a pipe is no device"},
		{`{deviceNodes: [{path: /dev/thing, type: b}]}`, "a character device here and a block device in the description"},
		{`{deviceNodes: [{path: /dev/thing, major: 240, minor: 1}]}`, "it is device 240:0 here and 240:1"},
		{`{env: ["LD_PRELOAD x=y"]}`, "not the name of a variable"},
		{`{env: ["A;B=y"]}`, "not the name of a variable: A;B"},
		{`{env: ["1A=y"]}`, "not the name of a variable: 1A"},
		{`{env: ["A=x\0y"]}`, "zero byte"},
		{`{env: [SANDBOX_STORE=/tmp]}`, "the sandbox sets this variable: SANDBOX_STORE"},
		{`{env: [PATH=/evil]}`, "the sandbox sets this variable: PATH"},
		{hook("/bin/sh", "sh", "-c", "id"), "wants /bin/sh -c id run as createContainer hook; sandbox runs no program"},
		{hook("/tmp/nvidia-cdi-hook", "nvidia-cdi-hook", "format-disk"), "wants /tmp/nvidia-cdi-hook format-disk run"},
		{hook("/usr/bin/nvidia-cdi-hook"), "wants /usr/bin/nvidia-cdi-hook"},
		{hook("/usr/bin/nvidia-ctk", "nvidia-ctk", "runtime", "configure"), "wants /usr/bin/nvidia-ctk runtime configure"},
		{hook("/usr/bin/nvidia-cdi-hook", "x", "update-ldcache", "--folder"), "argument without its value: --folder"},
		{hook("/usr/bin/nvidia-cdi-hook", "x", "update-ldcache", "--folder", "/a:/b"), "the dynamic linker cannot take such a folder"},
		{hook("/usr/bin/nvidia-cdi-hook", "x", "update-ldcache", "--folder", "/proc/x"), "sandbox's own /proc"},
		{hook("/usr/bin/nvidia-cdi-hook", "x", "update-ldcache", "--container-spec", "/x"), "argument that is not known: --container-spec"},
		{hook("/usr/bin/nvidia-cdi-hook", "x", "create-symlinks", "loose"), "argument that is not known: loose"},
		{hook("/usr/bin/nvidia-cdi-hook", "x", "chmod", "--mode", "4777", "--path", "/usr/bin/x"), "argument that is not known: --mode 4777"},
		{hook("/usr/bin/nvidia-cdi-hook", "x", "chmod", "--mode", "755", "--path", "/dev/../etc/shadow"), "argument that is not known: --path"},
	} {
		h.device(c.edits)
		h.fails([]string{"vendor.com/thing=0"}, c.want)
	}
}

func TestFilesThatAreMadeToHurt(t *testing.T) {
	h := newHost(t)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ","))
	}
	envs := "cdiVersion: 0.5.0\nkind: a.b/c\ncontainerEdits:\n  env: &e [" + strings.Repeat("'a=b',", 10000) + "]\ndevices:\n"
	for i := range 5000 {
		envs += fmt.Sprintf("- {name: d%d, containerEdits: {env: *e}}\n", i)
	}
	var distinct strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&distinct, "k%d:\n", i)
	}
	files := map[string]string{
		"bomb":      bomb,
		"envs":      envs,
		"deep":      strings.Repeat("[", 500_000),
		"deepmap":   strings.Repeat("{a: ", 200_000),
		"wide":      "[" + strings.Repeat("a,", 500_000) + "]",
		"nullnode":  "cdiVersion: 0.5.0\nkind: a.b/c\ndevices: [{name: x, containerEdits: {deviceNodes: [~]}}]\n",
		"nullmount": "cdiVersion: 0.5.0\nkind: a.b/c\ndevices: [{name: x, containerEdits: {mounts: [null]}}]\n",
		"nullhook":  "cdiVersion: 0.5.0\nkind: a.b/c\ncontainerEdits: {hooks: [{}, ~]}\ndevices: [{name: x, containerEdits: {env: [a=b]}}]\n",
		"nullnet":   "cdiVersion: 1.1.0\nkind: a.b/c\ndevices: [{name: x, containerEdits: {netDevices: [~]}}]\n",
		"kind":      "cdiVersion: 0.5.0\nkind: ../../x\ndevices: [{name: x, containerEdits: {env: [a=b]}}]\n",
		"name":      "cdiVersion: 0.5.0\nkind: a.b/c\ndevices: [{name: \"x\\e[2J\", containerEdits: {env: [a=b]}}]\n",
		"version":   "cdiVersion: 99.0.0\nkind: a.b/c\ndevices: [{name: x, containerEdits: {env: [a=b]}}]\n",
		"twice":     "cdiVersion: 0.5.0\nkind: a.b/c\ndevices: [{name: x, containerEdits: {env: [a=b]}}, {name: x, containerEdits: {env: [a=b]}}]\n",
		"none":      "cdiVersion: 0.5.0\nkind: a.b/c\ndevices: []\n",
		"null":      "null\n",
		"binary":    "\x00\x01\x02\xff",
		"tag":       "!!binary aGVsbG8=\n",
		"keys":      strings.Repeat("a:\n", 300_000), // 16 GiB and minutes, if it gets to the decoder
		"distinct":  distinct.String(),
		"keykinds":  "{[a]: b, {c: d}: e}\n",
		"comments":  strings.Repeat("- a # b\n", 130_000),
	}
	for name, text := range files {
		h.file("etc/cdi/"+name+".yaml", text)
	}
	devices, bad := List(h.Options)
	if len(devices) != 0 || len(bad) != len(files) {
		t.Errorf("devices %+v, %d of %d files refused", devices, len(bad), len(files))
	}
	for _, b := range bad {
		if s := b.Error(); strings.ContainsAny(s, "\n\x1b\x00") || len(s) > 400 {
			t.Errorf("not a message: %q", s)
		}
	}
}

func TestOneFileWithTooMuch(t *testing.T) {
	h := newHost(t)
	h.file("a", "")
	var m strings.Builder
	for i := range maxEdits + 1 {
		fmt.Fprintf(&m, "{hostPath: /a, containerPath: /x/%d},", i)
	}
	h.device("{mounts: [" + m.String() + "]}")
	h.fails([]string{"vendor.com/thing=0"}, "more than 4096 changes of a sandbox")

	for i := range maxFiles + 10 {
		h.file(fmt.Sprintf("var/run/cdi/%03d.yaml", i), fmt.Sprintf("cdiVersion: 0.5.0\nkind: a.b/c\ndevices: [{name: d%d, containerEdits: {env: [a=b]}}]\n", i))
	}
	devices, bad := List(h.Options)
	if len(devices) != maxFiles+1 || len(bad) != 1 || !strings.Contains(bad[0].Error(), "only the first 256 files are read") {
		t.Errorf("%d devices, %v", len(devices), bad)
	}
}

// A library that is a pipe must not be opened to see its name.
func TestLibrariesThatAreNone(t *testing.T) {
	h := newHost(t)
	h.file("lib/libshort.so.1", "\x7fELF")
	h.file("lib/libtext.so.1", "GROUP ( libc.so.6 )")
	h.device(`{mounts: [{hostPath: /lib/libshort.so.1, containerPath: /l/libshort.so.1}, {hostPath: /lib/libtext.so.1, containerPath: /l/libtext.so.1}],
    hooks: [{hookName: createContainer, path: /usr/bin/nvidia-cdi-hook, args: [x, update-ldcache, --folder, /l]}]}`)
	if e := h.resolve("vendor.com/thing=0"); len(e.Links) != 0 || len(e.Binds) != 2 {
		t.Errorf("%+v", e)
	}
}

func FuzzDescription(f *testing.F) {
	// Short ones: the fuzzer spends a minute on making a long one shorter.
	for _, name := range []string{"intel.com-gpu.yaml", "intel.com-gaudi.yaml"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, edits := range []string{
		"deviceNodes: [~]", "mounts: [{hostPath: /etc, containerPath: /x, options: [ro]}], additionalGids: [5]", "env: [A=b], intelRdt: {closID: x}",
		"hooks: [{hookName: createContainer, path: /usr/bin/nvidia-cdi-hook, args: [x, create-symlinks, --link, a::/b]}]",
		"hooks: [{hookName: createContainer, path: /usr/bin/nvidia-ctk, args: [x, hook, update-ldcache, --folder=/b]}]",
	} {
		f.Add([]byte("cdiVersion: 0.5.0\nkind: a.b/c\ndevices: [{name: x, containerEdits: {" + edits + "}}]\n"))
	}
	o := Options{Dirs: []string{}, Roots: gpu.Below(f.TempDir())}.defaults()
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxFile {
			return
		}
		s, err := parse(b)
		if err != nil {
			return
		}
		c := newCollector(o)
		all := &catalogue{devices: map[string]*device{}}
		all.take(&file{path: "x.yaml", spec: s}, map[string]bool{})
		for _, n := range all.names() {
			d := all.devices[n]
			c.add(d, &d.file.spec.ContainerEdits)
			c.add(d, d.edits)
		}
		e, err := c.finish(nil)
		if err != nil {
			return
		}
		for _, n := range e.Nodes {
			if t2, err := target(n.Target); err != nil || t2 != n.Target || !within(n.Target, "/dev") {
				t.Errorf("node %+v", n)
			}
		}
		for _, m := range e.Binds {
			if t2, err := target(m.Target); err != nil || t2 != m.Target {
				t.Errorf("bind %+v", m)
			}
		}
		for _, l := range e.Links {
			if t2, err := target(l.Path); err != nil || t2 != l.Path {
				t.Errorf("link %+v", l)
			}
		}
	})
}
