package images_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/registry"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

func decode(t testing.TB, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func readLayer(t testing.TB, l store.Layer, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(l.FS, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// push makes a real registry that serves blobs as team/app:v1.
func push(t testing.TB, o registrytest.Options, blobs registrytest.Blobs, d registrytest.Descriptor) *registrytest.Registry {
	t.Helper()
	r := registrytest.Start(t, o)
	dir := t.TempDir()
	blobs.Layout(t, dir, map[string]registrytest.Descriptor{"v1": d})
	r.Push(t, dir, "v1", "team/app:v1")
	return r
}

func TestPull(t *testing.T) {
	for _, compression := range []string{"gzip", "zstd", "none"} {
		t.Run(compression, func(t *testing.T) {
			blobs := registrytest.Blobs{}
			a := app(1 << 20)
			for i := range a.Layers {
				a.Layers[i].Compression = compression
			}
			a.Layers = append(a.Layers, a.Layers[0]) // a layer may be there twice
			d := blobs.Image(t, a)
			r := push(t, registrytest.Options{}, blobs, d)
			im, st := client(t, images.Options{})
			before := len(r.Requests(t))
			img, layers, err := pull(t, im, r.Addr+"/team/app:v1")
			if err != nil {
				t.Fatal(err)
			}
			if string(img.Manifest) != d.Digest || img.Index != "" || img.Ref != r.Addr+"/team/app:v1" {
				t.Errorf("image %+v", img)
			}
			c := img.Config
			if !slices.Equal(c.Env, []string{"A=1"}) || c.User != "1000" || c.WorkingDir != "/w" || !slices.Equal(c.Volumes, []string{"/v"}) || c.Architecture != "amd64" {
				t.Errorf("config %+v", c)
			}
			if len(layers) != 3 || layers[0].Name != layers[2].Name || layers[0].DiffID != img.Layers[0].DiffID {
				t.Fatalf("layers %+v", layers)
			}
			if readLayer(t, layers[0], "etc/name") != "base" || readLayer(t, layers[1], "data") != noise(1<<20) {
				t.Error("wrong content")
			}
			for _, l := range img.Layers {
				if st.HasBlob(t.Context(), l.Digest, l.Size) == (compression == "none") {
					t.Errorf("blob of %s kept: %v", compression, compression != "none")
				}
			}
			if n := len(r.Requests(t)) - before; n != 4 { // manifest, configuration, two layers
				t.Errorf("%d requests: %v", n, r.Requests(t)[before:])
			}
			again(t, im, st, r, img)
		})
	}
}

// again: a tag that did not move takes one request, a digest none.
func again(t *testing.T, im *images.Images, st *store.Store, r *registrytest.Registry, img *images.Image) {
	t.Helper()
	before := len(r.Requests(t))
	if _, _, err := pull(t, im, r.Addr+"/team/app:v1"); err != nil {
		t.Fatal(err)
	}
	if got := r.Requests(t)[before:]; len(got) != 1 || !strings.HasPrefix(got[0], "HEAD ") {
		t.Errorf("a tag that did not move: %v", got)
	}
	before = len(r.Requests(t))
	byDigest, _, err := pull(t, im, r.Addr+"/team/app@"+string(img.Manifest))
	if err != nil || byDigest.Manifest != img.Manifest {
		t.Fatal(err)
	}
	if got := r.Requests(t)[before:]; len(got) != 0 {
		t.Errorf("a digest that is there: %v", got)
	}
	known, ok := im.Known(t.Context(), img.Manifest)
	if !ok || len(known.Layers) != len(img.Layers) || known.ConfigDigest != img.ConfigDigest {
		t.Errorf("Known: %+v", known)
	}
	if recs, err := st.Images(); err != nil || len(recs) != 2 || recs[0].Manifest != img.Manifest {
		t.Errorf("records %+v, %v", recs, err)
	}
	offline := images.New(st, images.Options{Offline: true})
	if _, _, err := pull(t, offline, r.Addr+"/team/app:v1"); err != nil {
		t.Errorf("offline: %v", err)
	}
	if _, _, err := pull(t, offline, r.Addr+"/team/app:v2"); !errors.Is(err, images.ErrOffline) {
		t.Errorf("offline, another tag: %v", err)
	}
}

func TestTagThatMoved(t *testing.T) {
	blobs := registrytest.Blobs{}
	one, two := blobs.Image(t, app(10)), blobs.Image(t, app(20))
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": one})
	im, _ := client(t, images.Options{})
	if _, _, err := pull(t, im, f.ref("v1")); err != nil {
		t.Fatal(err)
	}
	f.tags["v1"] = two
	img, _, err := pull(t, im, f.ref("v1"))
	if err != nil || string(img.Manifest) != two.Digest {
		t.Errorf("%v %v", img, err)
	}
	// Tag and digest: the digest decides, wherever the tag leads.
	img, _, err = pull(t, im, f.ref("v1")+"@"+one.Digest)
	if err != nil || string(img.Manifest) != one.Digest {
		t.Errorf("%v %v", img, err)
	}
}

func TestPlatforms(t *testing.T) {
	blobs := registrytest.Blobs{}
	amd := blobs.Image(t, app(10))
	arm := blobs.Image(t, registrytest.Image{Arch: "arm64"})
	att := blobs.Image(t, registrytest.Image{Arch: "unknown"})
	att.Platform = map[string]string{"os": "unknown", "architecture": "unknown"}
	att.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	index := blobs.Index(t, att, arm, amd)
	nested := blobs.Index(t, withoutPlatform(index))
	foreign := blobs.Index(t, arm, att)
	mislabelled := arm
	mislabelled.Platform = amd.Platform
	deep := index
	for range 5 {
		deep = blobs.Index(t, withoutPlatform(deep))
	}
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"index": index, "nested": nested, "foreign": foreign,
		"single": arm, "mislabelled": blobs.Index(t, mislabelled), "deep": deep})
	im, _ := client(t, images.Options{})
	for _, tag := range []string{"index", "nested"} {
		img, err := resolve(t, im, f.ref(tag))
		if err != nil || string(img.Manifest) != amd.Digest || img.Index == "" {
			t.Errorf("%s: %+v %v", tag, img, err)
		}
	}
	for _, tag := range []string{"foreign", "single", "mislabelled"} {
		_, err := resolve(t, im, f.ref(tag))
		var p *oci.PlatformError
		if !errors.As(err, &p) || !slices.Contains(p.Have, "linux/arm64") || strings.Contains(err.Error(), "unknown") {
			t.Errorf("%s: %v", tag, err)
		}
	}
	if _, err := resolve(t, im, f.ref("deep")); !errors.Is(err, oci.ErrNotRunnable) {
		t.Errorf("deep: %v", err)
	}
	img, err := im.Resolve(t.Context(), mustRef(t, f.ref("index")), "linux/arm64")
	if err != nil || string(img.Manifest) != arm.Digest {
		t.Errorf("arm64: %+v %v", img, err)
	}
}

func mustRef(t testing.TB, s string) images.Ref {
	t.Helper()
	r, err := images.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func withoutPlatform(d registrytest.Descriptor) registrytest.Descriptor {
	d.Platform = nil
	return d
}

func TestMissing(t *testing.T) {
	blobs := registrytest.Blobs{}
	r := push(t, registrytest.Options{}, blobs, blobs.Image(t, app(10)))
	im, _ := client(t, images.Options{})
	for _, ref := range []string{r.Addr + "/team/app:v2", r.Addr + "/team/nothing", r.Addr + "/team/app@sha256:" + strings.Repeat("0", 64)} {
		_, err := resolve(t, im, ref)
		var missing *registry.NotFoundError
		if !errors.As(err, &missing) || !strings.Contains(err.Error(), "no such image or tag: "+r.Addr) || len(hint.Of(err)) == 0 {
			t.Errorf("%s: %v", ref, err)
		}
	}
	_, err := resolve(t, im, "127.0.0.1:1/app")
	if err == nil || !strings.Contains(err.Error(), "connection refused") || len(hint.Of(err)) == 0 {
		t.Errorf("unreachable: %v", err)
	}
}

func TestLogin(t *testing.T) {
	for _, key := range []string{"REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"} {
		t.Setenv(key, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
	blobs := registrytest.Blobs{}
	r := push(t, registrytest.Options{Auth: true}, blobs, blobs.Image(t, app(10)))
	ref := r.Addr + "/team/app:v1"
	refused := func(name string) {
		t.Helper()
		im, _ := client(t, images.Options{})
		_, _, err := pull(t, im, ref)
		var access *registry.AccessError
		if !errors.As(err, &access) || len(hint.Of(err)) != 1 || !strings.Contains(hint.Of(err)[0], "podman login --tls-verify=false "+r.Addr) || strings.Contains(err.Error(), registrytest.Password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	accepted := func(name string) {
		t.Helper()
		im, _ := client(t, images.Options{})
		if _, _, err := pull(t, im, ref); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := func(user, password string) string {
		auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		path := filepath.Join(t.TempDir(), "config.json")
		os.WriteFile(path, fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, r.Addr, auth), 0o600)
		return path
	}
	refused("nothing")
	t.Setenv("DOCKER_CONFIG", filepath.Dir(file(registrytest.User, "wrong")))
	refused("wrong password")
	t.Setenv("DOCKER_CONFIG", filepath.Dir(file(registrytest.User, registrytest.Password)))
	accepted("DOCKER_CONFIG")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("REGISTRY_AUTH_FILE", file(registrytest.User, registrytest.Password))
	accepted("REGISTRY_AUTH_FILE")
	t.Setenv("REGISTRY_AUTH_FILE", "")
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nread s\n[ \"$s\" = %q ] || { echo credentials not found; exit 1; }\necho '{\"ServerURL\":\"\",\"Username\":%q,\"Secret\":%q}'\n",
		r.Addr, registrytest.User, registrytest.Password)
	os.WriteFile(filepath.Join(bin, "docker-credential-test"), []byte(script), 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(`{"credsStore":"test"}`), 0o600)
	accepted("helper")
	os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(`{"credsStore":"missing"}`), 0o600)
	refused("a helper that is not there")
}

func TestTLS(t *testing.T) {
	blobs := registrytest.Blobs{}
	r := push(t, registrytest.Options{TLS: true}, blobs, blobs.Image(t, app(1<<20)))
	ref := r.Addr + "/team/app:v1"
	im, _ := client(t, images.Options{})
	if _, _, err := pull(t, im, ref); err == nil || !strings.Contains(err.Error(), "certificate") || len(hint.Of(err)) == 0 {
		t.Errorf("unknown authority: %v", err)
	}
	im, _ = client(t, images.Options{CA: map[string]string{r.Addr: r.CA}})
	if _, _, err := pull(t, im, ref); err != nil {
		t.Errorf("with its CA: %v", err)
	}
	im, _ = client(t, images.Options{Insecure: func(host string) bool { return host == r.Addr }})
	if _, _, err := pull(t, im, ref); err != nil {
		t.Errorf("insecure: %v", err)
	}
}

func TestMirrors(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1<<16))
	main := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d, "v2": d})
	mirror := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	broken := newFake(t, registrytest.Blobs{}, nil)
	o := images.Options{Mirrors: map[string][]string{main.host(): {"127.0.0.1:1/prefix", broken.host(), mirror.host()}}}
	im, _ := client(t, o)
	if _, _, err := pull(t, im, main.ref("v1")); err != nil {
		t.Fatal(err)
	}
	if got := main.paths(); len(got) != 0 {
		t.Errorf("the registry was asked: %v", got)
	}
	im, _ = client(t, o)
	if _, _, err := pull(t, im, main.ref("v2")); err != nil {
		t.Fatal(err)
	}
	if got := main.paths(); len(got) != 1 {
		t.Errorf("the registry was asked for more than the tag: %v", got)
	}
}
