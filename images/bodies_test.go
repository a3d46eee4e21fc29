package images_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/registry"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// T-34: bodies that are not what their headers say give the right content or an error; nothing of them stays, and the
// next pull works.
func TestOddBodies(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{goodLayer()}})
	l := layerOf(t, blobs, d, 0)
	b := blobs[l.Digest]
	length := func(n int) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.Header().Set("Content-Length", fmt.Sprint(n)); w.Write(b) }
	}
	encoded := func(b []byte) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.Header().Set("Content-Encoding", "gzip"); w.Write(b) }
	}
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   string // in the error; "" = it is pulled
	}{
		"a length too small":          {length(len(b) - 1), "wrong size"},
		"a length too large":          {length(len(b) + 1), "wrong size"},
		"no length":                   {func(w http.ResponseWriter) { http.NewResponseController(w).Flush(); w.Write(b) }, ""},
		"no length, and no end":       {func(w http.ResponseWriter) { http.NewResponseController(w).Flush(); io.Copy(w, zeros{}) }, "wrong"},
		"the right bytes, and no end": {func(w http.ResponseWriter) { http.NewResponseController(w).Flush(); w.Write(b); io.Copy(w, zeros{}) }, "wrong size"},
		"called gzip, which it is":    {encoded(b), ""},
		"packed once more":            {encoded(gzipped(t, b)), "wrong size"},
		"a page to log in": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>log in</html>")
		}, "wrong size"},
		"nothing":         {func(http.ResponseWriter) {}, "wrong size"},
		"204, no content": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }, "status 204"},
		"a part that nobody asked for": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-9/%d", len(b)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(b[:10])
		}, "206"},
		"a redirect that leads nowhere": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusFound) }, "redirect without a usable location"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
			f.handle = func(w http.ResponseWriter, r *http.Request) bool {
				if isBlob(r, l) {
					c.answer(w)
				}
				return isBlob(r, l)
			}
			im, st := client(t, images.Options{})
			img, layers, err := pull(t, im, f.ref("v1"))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if err != nil {
				nothingStays(t, st, l, img0(t, im, f).Layers[0].DiffID)
				f.handle = nil
				if img, layers, err = pull(t, im, f.ref("v1")); err != nil {
					t.Fatalf("afterwards: %v", err)
				}
			}
			if readLayer(t, layers[0], "data") != noise(300<<10) || len(img.Layers) != 1 {
				t.Error("wrong content")
			}
		})
	}
}

func img0(t *testing.T, im *images.Images, f *fake) *images.Image {
	t.Helper()
	img, err := resolve(t, im, f.ref("v1"))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// T-32: who is refused asks once, or once more with what the registry wants; whatever the document is.
func TestRefusalsAreNotRepeated(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1000))
	for what, part := range map[string]string{"manifest": "/manifests/", "configuration": "/blobs/" + configOf(t, blobs, d), "layer": "/blobs/" + layerOf(t, blobs, d, 1).Digest} {
		for _, code := range []int{400, 401, 403, 404, 410, 451} {
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
			f.handle = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, part) {
					w.WriteHeader(code)
					return true
				}
				return false
			}
			im, st := client(t, images.Options{})
			_, _, err := pull(t, im, f.ref("v1"))
			var access *registry.AccessError
			var missing *registry.NotFoundError
			if err == nil || what != "layer" && (code == 401 || code == 403) != errors.As(err, &access) || what == "manifest" && (code == 404 || code == 410) != errors.As(err, &missing) {
				t.Errorf("%s, %d: %v", what, code, err)
			}
			n := 0
			for _, p := range f.paths() {
				if strings.Contains(p, part[1:]) {
					n++
				}
			}
			if n < 1 || n > 2 {
				t.Errorf("%s, %d: asked %d times", what, code, n)
			}
			if records, err := st.Images(); err != nil || len(records) > 0 {
				t.Errorf("%s, %d: noted: %v, %v", what, code, records, err)
			}
		}
	}
}

// T-36: two registries in one process: what belongs to the one is never told to the other.
func TestTwoRegistries(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1000))
	tags := map[string]registrytest.Descriptor{"v1": d}
	type party struct {
		*fake
		mu   sync.Mutex
		said strings.Builder
	}
	var parties [2]*party
	dir := t.TempDir()
	for _, key := range []string{"REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_AUTH_CONFIG"} {
		t.Setenv(key, "")
	}
	t.Setenv("HOME", dir)
	t.Setenv("DOCKER_CONFIG", dir)
	var entries []string
	for i := range parties {
		p := &party{fake: newFake(t, blobs, tags)}
		parties[i] = p
		secret := fmt.Sprintf("%s-%d", token, i)
		p.handle = func(w http.ResponseWriter, r *http.Request) bool {
			b, _ := httputil.DumpRequest(r, true)
			user, pass, _ := r.BasicAuth()
			p.mu.Lock()
			p.said.WriteString(string(b) + user + " " + pass + "\n")
			p.mu.Unlock()
			http.SetCookie(w, &http.Cookie{Name: "session", Value: fmt.Sprintf("%s-%d", cookie, i), Path: "/"})
			if r.URL.Path == "/token" {
				fmt.Fprintf(w, `{"token":%q}`, secret)
				return true
			}
			return r.Header.Get("Authorization") != "Bearer "+secret && challenge(w, "Bearer", p.URL+"/token")
		}
		entries = append(entries, fmt.Sprintf(`%q:{"username":"user","password":"%s-%d"}`, p.host(), password, i))
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"auths":{`+strings.Join(entries, ",")+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	im, st := client(t, images.Options{})
	var wg sync.WaitGroup
	for range 3 {
		for _, p := range parties {
			wg.Go(func() {
				r, _ := images.ParseRef(p.ref("v1"))
				img, err := im.Resolve(t.Context(), r, "linux/amd64")
				if err == nil {
					_, err = im.Pull(t.Context(), img)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, l := range []int{0, 1} {
			if err := st.RemoveLayer(img0(t, im, parties[0].fake).Layers[l].DiffID.Hex()); err != nil {
				t.Fatal(err)
			}
			st.RemoveBlob(store.Digest(layerOf(t, blobs, d, l).Digest))
		}
	}
	for i, p := range parties {
		said, other := p.said.String(), fmt.Sprintf("-%d", 1-i)
		for _, secret := range []string{password, token, cookie} {
			if strings.Contains(said, secret+other) {
				t.Errorf("registry %d was told %s of the other", i, secret)
			}
		}
		if !strings.Contains(said, fmt.Sprintf("%s-%d", password, i)) || !strings.Contains(said, fmt.Sprintf("Bearer %s-%d", token, i)) {
			t.Errorf("registry %d was not told what is its own", i)
		}
	}
}

// T-66: what is well-formed and no image is told apart from what is broken, with what it is instead.
func TestNotRunnable(t *testing.T) {
	blobs := registrytest.Blobs{}
	empty := blobs.Put("application/vnd.oci.empty.v1+json", []byte("{}"))
	manifest := func(config registrytest.Descriptor, artifact string) registrytest.Descriptor {
		return blobs.JSON(t, oci.TypeManifest, map[string]any{"schemaVersion": 2, "mediaType": oci.TypeManifest, "artifactType": artifact, "config": config, "layers": []any{}})
	}
	chart := blobs.Put("application/vnd.cncf.helm.config.v1+json", []byte("{}"))
	tags := map[string]registrytest.Descriptor{
		"schema-1":      blobs.Put("application/vnd.docker.distribution.manifest.v1+prettyjws", []byte(`{"schemaVersion":1,"name":"x","fsLayers":[]}`)),
		"unknown-type":  blobs.Put("application/vnd.example+json", []byte(`{"schemaVersion":2,"mediaType":"application/vnd.example+json","config":{},"layers":[]}`)),
		"no-document":   blobs.Put(oci.TypeManifest, []byte(`{"schemaVersion":2}`)),
		"chart":         manifest(chart, ""),
		"artifact":      manifest(empty, "application/vnd.example.sbom"),
		"empty-config":  manifest(empty, ""),
		"of-attestings": blobs.Index(t, registrytest.Descriptor{MediaType: oci.TypeManifest, Digest: empty.Digest, Size: 2, Platform: map[string]string{"os": "unknown", "architecture": "unknown"}}),
		"no-rootfs":     configured(t, blobs, `{"architecture":"amd64","os":"linux"}`),
	}
	f := newFake(t, blobs, tags)
	im, _ := client(t, images.Options{})
	for tag, want := range map[string]string{
		"schema-1":      "not a runnable image: a manifest of schema 1, which registries stopped serving",
		"unknown-type":  "not a runnable image: it is of type application/vnd.example+json",
		"no-document":   "not a runnable image: its document is neither an index nor a manifest",
		"chart":         "not a runnable image: it holds application/vnd.cncf.helm.config.v1+json",
		"artifact":      "not a runnable image: it holds application/vnd.example.sbom",
		"empty-config":  "not a runnable image: it holds application/vnd.oci.empty.v1+json",
		"of-attestings": "no image for linux/amd64, only for: none that can run",
		"no-rootfs":     "not a runnable image: its configuration names no layers",
	} {
		_, err := resolve(t, im, f.ref(tag))
		if err == nil || err.Error() != f.ref(tag)+": "+want {
			t.Errorf("%s: got %q, want %q", tag, err, want)
		}
	}
}

// byName sends requests for any host to one server, and refuses connections by https where that has none.
type byName struct {
	f     *fake
	https bool
	mu    sync.Mutex
	asked []string // SCHEME PATH
}

func (t *byName) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	t.asked = append(t.asked, r.URL.Scheme+" "+r.URL.Path)
	t.mu.Unlock()
	if r.URL.Scheme == "https" && !t.https {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", t.f.host()
	return http.DefaultTransport.RoundTrip(r)
}

// T-77: a registry of another machine is asked over plain http only where the user has allowed it, whatever it is that
// has no https: the registry, where a redirect leads, or the token server.
func TestPlainHTTP(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1000))
	for name, c := range map[string]struct {
		https, allowed bool
		handle         func(w http.ResponseWriter, r *http.Request) bool
		ok             bool
	}{
		"https":             {https: true, ok: true},
		"no https":          {},
		"no https, allowed": {allowed: true, ok: true},
		"https, allowed":    {https: true, allowed: true, ok: true},
		"a redirect to http": {https: true, handle: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") || strings.HasSuffix(r.URL.Path, "/plain") {
				return false
			}
			w.Header().Set("Location", "http://other.example"+r.URL.Path)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return true
		}},
		"a token server of http": {https: true, handle: func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Path != "/token" && challenge(w, "Bearer", "http://other.example/token")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
			f.handle = c.handle
			by := &byName{f: f, https: c.https}
			im, _ := client(t, images.Options{Transport: by, Insecure: func(string) bool { return c.allowed }, Fetch: fetch.Options{Budget: 100 * time.Millisecond}})
			_, _, err := pull(t, im, "reg.example/app:v1")
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
			for _, a := range by.asked {
				if strings.HasPrefix(a, "http ") && (!c.allowed || c.https) {
					t.Errorf("asked by http: %s", a)
				}
			}
		})
	}
}
