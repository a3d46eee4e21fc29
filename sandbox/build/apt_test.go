package build

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// debWorld is a base in a store and a builder on top of it.
type debWorld struct {
	*Builder
	env     *Env
	pins    []envfile.DebPin
	notices []string
	layers  int
}

func newDebWorld(t *testing.T) *debWorld {
	t.Helper()
	work := lockDebs(t, "bookworm")
	st, err := store.Open(work.Store, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &debWorld{pins: work.Base}
	w.Builder = &Builder{
		Store: st, Fetch: fetch.New(fetch.Options{AllowHTTP: true}), User: &envfile.UserConfig{},
		File: &envfile.File{Image: envfile.Image{Base: "deb:bookworm"}}, Dir: t.TempDir(),
		Notice: func(s string) { w.notices = append(w.notices, s) }, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	w.env = &Env{}
	sec := &envfile.Section{Image: envfile.ImagePin{Ref: "deb:bookworm"}, Debs: work.Base}
	if err := w.addDebBase(context.Background(), w.env, sec, testEpoch); err != nil {
		t.Fatal(err)
	}
	return w
}

// makeDeb puts a small package into the store and pins it.
func (w *debWorld) makeDeb(t *testing.T, name, version string, scripts map[string]string, files ...string) envfile.DebPin {
	t.Helper()
	tarFile := func(files map[string]string, mode int64) []byte {
		var b bytes.Buffer
		tw := tar.NewWriter(&b)
		var names []string
		for n := range files {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			h := tar.Header{Name: "./" + n, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(files[n]))}
			if strings.HasSuffix(n, "/") {
				h.Typeflag, h.Size, h.Mode = tar.TypeDir, 0, 0o755
			}
			if err := tw.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if h.Size > 0 {
				tw.Write([]byte(files[n]))
			}
		}
		tw.Close()
		return b.Bytes()
	}
	control := map[string]string{"control": fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: nobody\nDescription: test\n", name, version)}
	for n, s := range scripts {
		control[n] = "#!/bin/sh\nset -e\n" + s
	}
	data := map[string]string{}
	for _, f := range files {
		f, content, found := strings.Cut(f, "=")
		if !found {
			content = version + "\n"
		}
		data[f] = content
	}
	content := []byte("!<arch>\n")
	for _, m := range []struct {
		name string
		b    []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar", tarFile(control, 0o755)}, {"data.tar", tarFile(data, 0o755)}} {
		content = append(content, fmt.Sprintf("%-16s%-12d%-6d%-6d%-8o%-10d`\n", m.name, 0, 0, 0, 0o100644, len(m.b))...)
		content = append(content, m.b...) // all of even length
	}
	d, size, err := w.Store.PutBlob(t.Context(), bytes.NewReader(content), "")
	if err != nil {
		t.Fatal(err)
	}
	return envfile.DebPin{Name: name, Version: version, Arch: "all", Archive: "Debian/bookworm/main", Path: "pool/" + name + "_" + version + ".deb", Size: size, SHA256: d.Hex(), Layer: "apt"}
}

// install makes a layer of pins on env.
func (w *debWorld) install(t *testing.T, env *Env, pins ...envfile.DebPin) (*Env, error) {
	t.Helper()
	w.layers++
	up := &Env{Layers: slices.Clone(env.Layers)}
	return up, w.addDebs(context.Background(), up, pins, "apt", testEpoch+int64(w.layers))
}

func TestPackagesOnABase(t *testing.T) {
	w := newDebWorld(t)
	t.Run("resolve", w.testResolve)
	t.Run("unknown", w.testUnknown)
	t.Run("keep", w.testKeep)
	t.Run("image sources", w.testImageSources)
	t.Run("upgrade", w.testUpgrade)
	t.Run("services stay down", w.testServices)
	t.Run("failing script", w.testFailing)
}

func (w *debWorld) testResolve(t *testing.T) {
	got, err := w.lockApt(context.Background(), w.env, "apt", []string{"git", "hello"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, p := range got {
		names[p.Name] = true
		if debPin(p).Check() != nil || !strings.HasPrefix(p.Archive, "Debian/bookworm") || p.Layer != "apt" {
			t.Errorf("pin %+v", p)
		}
	}
	if !names["git"] || !names["hello"] || !names["libcurl3-gnutls"] {
		t.Errorf("chosen: %v", names)
	}
	if names["bash"] || names["less"] || names["patch"] {
		t.Errorf("chosen without need: %v", names)
	}
	w.File.Apt.Recommends = true
	more, err := w.lockApt(context.Background(), w.env, "apt", []string{"git", "hello"}, nil)
	w.File.Apt.Recommends = false
	if err != nil || len(more) <= len(got) {
		t.Errorf("with recommended packages %d instead of %d, %v", len(more), len(got), err)
	}
}

func (w *debWorld) testUnknown(t *testing.T) {
	for _, tt := range []struct{ name, want, hint string }{
		{"helo", `no package "helo" in Debian/bookworm`, "hello"},
		{"hello=1:0", "no package hello=1:0; on offer: ", ""},
	} {
		_, err := w.lockApt(context.Background(), w.env, "apt", []string{tt.name}, nil)
		var u *deb.UnknownError
		if !errors.As(err, &u) || !strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(strings.Join(hint.Of(err), ""), tt.hint) {
			t.Errorf("%s: %v, hints %q", tt.name, err, hint.Of(err))
		}
	}
}

// A pin stays although the archives went on, as long as its file is to be had.
func (w *debWorld) testKeep(t *testing.T) {
	old := w.makeDeb(t, "hello", "2.0-1", nil, "usr/share/hello-old")
	w.oldDebs = []envfile.DebPin{old}
	defer func() { w.oldDebs = nil }()
	keep := map[string]string{"hello": old.Version}
	got, err := w.lockApt(context.Background(), w.env, "apt", []string{"hello"}, keep)
	if err != nil || len(got) != 1 || got[0] != old {
		t.Errorf("got %+v, %v; want %+v", got, err, old)
	}
	if got, err = w.lockApt(context.Background(), w.env, "apt", []string{"hello"}, nil); err != nil || len(got) != 1 || got[0].Version == old.Version {
		t.Errorf("set free, but: %+v, %v", got, err)
	}
	w.oldDebs[0].SHA256 = strings.Repeat("0", 64)
	_, err = w.lockApt(context.Background(), w.env, "apt", []string{"hello"}, keep)
	var gone *deb.GoneError
	if !errors.As(err, &gone) || !strings.Contains(err.Error(), "version 2.0-1 is gone from Debian/bookworm/main; on offer is 2.") {
		t.Errorf("a pin that is gone: %v", err)
	}
}

// An image's own sources and keys are used, read through its layers.
func (w *debWorld) testImageSources(t *testing.T) {
	host, err := deb.HostSources("/")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(host, func(s deb.Source) bool { return s.Origin == "Debian" })
	list := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm main\n", host[i].URI)
	third := fmt.Sprintf("deb %s no-such-suite main\n", host[i].URI)
	extra := makeTree(t, map[string]string{"etc/apt/sources.list": list, "etc/apt/sources.list.d/third.list": "->/opt/third.list", "opt/third.list": third})
	env := &Env{Layers: append(slices.Clone(w.env.Layers), Layer{Name: "sources", FS: extra})}
	base := w.File.Image.Base
	w.File.Image.Base = "example.invalid/image"
	defer func() { w.File.Image.Base = base }()
	w.notices = nil
	got, err := w.lockApt(context.Background(), env, "apt", []string{"hello"}, nil)
	if err != nil || len(got) != 1 || got[0].Archive != "Debian/bookworm/main" {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(w.notices) != 1 || !strings.HasPrefix(w.notices[0], "/etc/apt/sources.list.d/third.list is left out: ") {
		t.Errorf("notices %q", w.notices)
	}
}

// What a newer version no longer has is hidden by the layer.
func (w *debWorld) testUpgrade(t *testing.T) {
	one, err := w.install(t, w.env, w.makeDeb(t, "thing", "1", nil, "usr/share/thing/", "usr/share/thing/a", "usr/share/thing/b", "opt/thing/", "opt/thing/c"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := w.install(t, one, w.makeDeb(t, "thing", "2", nil, "usr/share/thing/", "usr/share/thing/a"))
	if err != nil {
		t.Fatal(err)
	}
	top := two.Layers[len(two.Layers)-1].FS
	if b, err := os.ReadFile(filepath.Join(top, "usr/share/thing/a")); err != nil || string(b) != "2\n" {
		t.Errorf("a: %q, %v", b, err)
	}
	for _, hidden := range []string{"usr/share/thing/b", "opt/thing"} {
		if fi, err := os.Lstat(filepath.Join(top, hidden)); err != nil || fi.Mode()&os.ModeCharDevice == 0 {
			t.Errorf("%s is not hidden: %v, %v", hidden, fi, err)
		}
	}
	for _, l := range two.Layers {
		for _, name := range []string{"run/sandbox", "usr/sbin/policy-rc.d", "workspace"} {
			if _, err := os.Lstat(filepath.Join(l.FS, name)); err == nil {
				t.Errorf("%s of ours is in the layer %s", name, l.Why)
			}
		}
	}
}

func (w *debWorld) testServices(t *testing.T) {
	post := "invoke-rc.d thing start || true\nid -u > /thing-id; echo $SOURCE_DATE_EPOCH > /thing-epoch; ls /proc/self/ns/net > /dev/null; test ! -e /sys/class/net/eth0\n"
	env, err := w.install(t, w.env, w.makeDeb(t, "thing", "3", map[string]string{"postinst": post}, "etc/init.d/thing=#!/bin/sh\ntouch /thing-$1\n"))
	if err != nil {
		t.Fatal(err)
	}
	top := env.Layers[len(env.Layers)-1].FS
	if _, err := os.Lstat(filepath.Join(top, "thing-start")); err == nil {
		t.Error("the service was started")
	}
	for name, want := range map[string]string{"thing-id": "0\n", "thing-epoch": fmt.Sprintln(testEpoch + w.layers)} {
		if b, err := os.ReadFile(filepath.Join(top, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func (w *debWorld) testFailing(t *testing.T) {
	_, err := w.install(t, w.env, w.makeDeb(t, "thing", "4", map[string]string{"postinst": "echo it hurts here >&2\nexit 3\n"}, "usr/share/thing/", "usr/share/thing/a"))
	if err == nil || !strings.Contains(err.Error(), "it hurts here") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(w.Store.Dir(), "layers-v1", "*"))
	if len(left) != w.layers {
		t.Errorf("%d layers after %d builds of which one failed, and a base", len(left), w.layers)
	}
}
