package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/4cc2e759/sandbox/internal/enginetest"
	"github.com/4cc2e759/sandbox/internal/registrytest"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// commandsOfScripts are what scripts can call besides testscript's own; testdata/script/README.md has one
// line for each. They make a world for the tool, they do not do its work.
var commandsOfScripts = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"cache":      cmdCache,
	"engine":     cmdEngine,
	"fileserver": cmdFileServer,
	"gitserver":  cmdGitServer,
	"gpus":       cmdGPUs,
	"image":      cmdImage,
	"registry":   cmdRegistry,
}

// tb is the running script as a test, whose end ends servers.
func tb(ts *testscript.TestScript) testing.TB {
	t, ok := ts.Value(testKey{}).(testing.TB)
	if !ok {
		ts.Fatalf("the script has no test")
	}
	return t
}

type (
	testKey     struct{}
	registryKey struct{}
)

// cmdCache: cache [-built] [-take]
func cmdCache(ts *testscript.TestScript, neg bool, args []string) {
	c := ts.Value(cacheKey{}).(*cacheUse)
	c.on = true
	stores := []string{c.dir}
	for _, a := range args {
		switch a {
		case "-built":
			dir, err := built(c)
			ts.Check(err)
			ts.Setenv("BUILT", dir)
			stores = append(stores, dir)
		case "-take":
			c.on = false
		default:
			neg = true
		}
	}
	if neg {
		ts.Fatalf("usage: cache [-built] [-take]")
	}
	ts.Check(writeStores(ts.Getenv("HOME"), stores...))
}

// cmdEngine: engine docker|containerd|podman
func cmdEngine(ts *testscript.TestScript, neg bool, args []string) {
	engines := map[string]func(testing.TB) []string{"docker": enginetest.Docker, "containerd": enginetest.Containerd, "podman": enginetest.Podman}
	if neg || len(args) != 1 || engines[args[0]] == nil {
		ts.Fatalf("usage: engine docker|containerd|podman")
	}
	for _, v := range engines[args[0]](tb(ts)) {
		name, value, _ := strings.Cut(v, "=")
		ts.Setenv(name, value)
	}
}

// cmdFileServer: fileserver DIR
func cmdFileServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fileserver DIR")
	}
	log, err := os.Create(filepath.Join(ts.Getenv("WORK"), "files.log"))
	ts.Check(err)
	files := http.FileServer(http.Dir(ts.MkAbs(args[0])))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(log, "%s %s\n", r.Method, r.URL.Path) // one write: whole lines also from many at once
		files.ServeHTTP(w, r)
	}))
	ts.Defer(func() {
		srv.CloseClientConnections()
		srv.Close()
		log.Close()
	})
	ts.Setenv("FILES_URL", srv.URL)
	ts.Setenv("FILES_LOG", log.Name())
}

// cmdGitServer: gitserver [-private] DIR
func cmdGitServer(ts *testscript.TestScript, neg bool, args []string) {
	o := testenv.GitOptions{Push: true}
	if len(args) > 0 && args[0] == "-private" {
		o.User, o.Password = registrytest.User, registrytest.Password
		args = args[1:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gitserver [-private] DIR")
	}
	s, err := testenv.NewGitServer(ts.MkAbs(args[0]), o)
	ts.Check(err)
	ts.Defer(s.Close)
	ts.Setenv("GIT_URL", s.URL)
}

// cmdRegistry: registry [-auth] [-tls]
func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	var o registrytest.Options
	for _, a := range args {
		switch a {
		case "-auth":
			o.Auth = true
		case "-tls":
			o.TLS = true
		default:
			neg = true
		}
	}
	if neg {
		ts.Fatalf("usage: registry [-auth] [-tls]")
	}
	r := registrytest.Start(tb(ts), o)
	ts.Value(registryKey{}).(*registryUse).Registry = r
	ts.Setenv("REGISTRY", r.Addr)
	ts.Setenv("REGISTRY_CA", r.CA)
	ts.Setenv("REGISTRY_LOG", r.AccessLog)
}

// registryUse is the script's registry, once it has one.
type registryUse struct{ *registrytest.Registry }

// cmdImage: image [-arch ARCH[,ARCH…]] [-cmd CMD] [-entry CMD] [-env N=V] [-user U] [-workdir D] NAME[:TAG]|oci:DIR[:TAG] [FILE…]
func cmdImage(ts *testscript.TestScript, neg bool, args []string) {
	const use = "usage: image [-arch A[,A]] [-cmd C] [-entry C] [-env N=V] [-user U] [-workdir D] NAME[:TAG]|oci:DIR[:TAG] [FILE…]"
	im := registrytest.Image{Config: map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": []string{"sh"}}}
	arches := []string{""}
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch v := args[1]; args[0] {
		case "-arch":
			arches = strings.Split(v, ",")
		case "-cmd":
			im.Config["Cmd"] = strings.Fields(v)
		case "-entry":
			im.Config["Entrypoint"] = strings.Fields(v)
		case "-env":
			im.Config["Env"] = append(im.Config["Env"].([]string), v)
		case "-user":
			im.Config["User"] = v
		case "-workdir":
			im.Config["WorkingDir"] = v
		default:
			ts.Fatalf(use)
		}
		args = args[2:]
	}
	if neg || len(args) == 0 {
		ts.Fatalf(use)
	}
	l, err := busyboxLayer()
	ts.Check(err)
	im.Layers = []registrytest.Layer{l}
	for _, name := range args[1:] {
		im.Layers = append(im.Layers, registrytest.Layer{Files: []registrytest.File{{Name: strings.TrimPrefix(name, "/"), Body: ts.ReadFile(name)}}})
	}
	push(ts, im, args[0], arches)
}

// push writes an image to a layout, or to the script's registry by way of one: an index where it is for several
// processors.
func push(ts *testscript.TestScript, im registrytest.Image, ref string, arches []string) {
	t := tb(ts)
	b := registrytest.Blobs{}
	var all []registrytest.Descriptor
	for _, im.Arch = range arches {
		all = append(all, b.Image(t, im))
	}
	d := all[0]
	if len(all) > 1 {
		d = b.Index(t, all...)
	}
	dir, layout := strings.CutPrefix(ref, "oci:")
	name, tag, ok := strings.Cut(dir, ":")
	if !ok {
		tag = "latest"
	}
	if layout {
		b.Layout(t, ts.MkAbs(name), map[string]registrytest.Descriptor{tag: d})
	} else {
		r := ts.Value(registryKey{}).(*registryUse).Registry
		if r == nil {
			ts.Fatalf("image %s: no registry yet", ref)
		}
		tmp := t.TempDir()
		b.Layout(t, tmp, map[string]registrytest.Descriptor{"x": d})
		r.Push(t, tmp, "x", name+":"+tag)
	}
	ts.Setenv("DIGEST", d.Digest)
}

// busyboxLayer is a root file system of one program: a shell and what scripts call, as links.
func busyboxLayer() (registrytest.Layer, error) {
	path, err := testenv.Busybox()
	if err != nil {
		return registrytest.Layer{}, err
	}
	prog, err := os.ReadFile(path)
	if err != nil {
		return registrytest.Layer{}, err
	}
	l := registrytest.Layer{Files: []registrytest.File{
		{Name: "bin/"}, {Name: "etc/"}, {Name: "root/", Mode: 0o700}, {Name: "tmp/", Mode: 0o1777}, {Name: "usr/"}, {Name: "var/"},
		{Name: "etc/passwd", Body: "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"},
		{Name: "etc/group", Body: "root:x:0:\nann:x:1000:\n"},
		{Name: "etc/os-release", Body: "ID=tiny\nNAME=Tiny\n"},
		{Name: "home/"}, {Name: "home/ann/", UID: 1000, GID: 1000},
		{Name: "bin/busybox", Body: string(prog), Mode: 0o755},
	}}
	for _, tool := range strings.Fields("sh cat cp echo env false hostname id kill ls mkdir mount mv ps pwd readlink rm sleep stat stty test touch true tty uname wc grep sed tr chown chmod") {
		l.Files = append(l.Files, registrytest.File{Name: "bin/" + tool, Link: "busybox"})
	}
	return l, nil
}
