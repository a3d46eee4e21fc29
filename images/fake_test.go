package images_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// fake is a registry of one repository, "app", that can be told to misbehave.
type fake struct {
	*httptest.Server
	blobs registrytest.Blobs
	tags  map[string]registrytest.Descriptor

	mu  sync.Mutex
	log []*http.Request

	// handle may answer in place of the registry.
	handle func(w http.ResponseWriter, r *http.Request) bool
}

func newFake(t *testing.T, blobs registrytest.Blobs, tags map[string]registrytest.Descriptor) *fake {
	f := &fake{blobs: blobs, tags: tags}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(func() { f.CloseClientConnections(); f.Close() })
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.log = append(f.log, r.Clone(context.Background()))
	f.mu.Unlock()
	if f.handle != nil && f.handle(w, r) {
		return
	}
	f.answer(w, r)
}

func (f *fake) answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/" {
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/v2/app/")
	kind, name, ok2 := strings.Cut(rest, "/")
	d := registrytest.Descriptor{Digest: name}
	if kind == "manifests" {
		if tag, ok := f.tags[name]; ok {
			d = tag
		}
		w.Header().Set("Docker-Content-Digest", d.Digest)
	}
	b, ok3 := f.blobs[d.Digest]
	if !ok || !ok2 || !ok3 {
		http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`, http.StatusNotFound)
		return
	}
	if kind == "manifests" {
		mt := d.MediaType
		if mt == "" {
			mt = "application/vnd.oci.image.manifest.v1+json"
			if bytes.Contains(b, []byte(`"manifests"`)) {
				mt = "application/vnd.oci.image.index.v1+json"
			}
		}
		w.Header().Set("Content-Type", mt)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// paths returns "METHOD path" of the requests since the last call.
func (f *fake) paths() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, r := range f.log {
		out = append(out, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/v2/app/"))
	}
	f.log = nil
	return out
}

func (f *fake) host() string { return strings.TrimPrefix(f.URL, "http://") }

func (f *fake) ref(tag string) string { return f.host() + "/app:" + tag }

func isBlob(r *http.Request, d registrytest.Descriptor) bool {
	return strings.HasSuffix(r.URL.Path, "/blobs/"+d.Digest)
}

func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func client(t testing.TB, o images.Options) (*images.Images, *store.Store) {
	t.Helper()
	if o.Fetch.Stall == 0 {
		o.Fetch.Stall = 5 * time.Second
	}
	s := openStore(t, t.TempDir())
	return images.New(s, o), s
}

func resolve(t testing.TB, im *images.Images, ref string) (*images.Image, error) {
	t.Helper()
	r, err := images.ParseRef(ref)
	if err != nil {
		t.Fatal(err)
	}
	return im.Resolve(t.Context(), r, "linux/amd64")
}

// pull resolves and pulls.
func pull(t testing.TB, im *images.Images, ref string) (*images.Image, []store.Layer, error) {
	t.Helper()
	img, err := resolve(t, im, ref)
	if err != nil {
		return nil, nil, err
	}
	layers, err := im.Pull(t.Context(), img)
	return img, layers, err
}

// app is a small image with a layer of n pseudo-random bytes.
func app(n int) registrytest.Image {
	return registrytest.Image{
		Layers: []registrytest.Layer{
			{Files: []registrytest.File{{Name: "etc/"}, {Name: "etc/name", Body: "base"}}},
			{Files: []registrytest.File{{Name: "data", Body: noise(n)}}},
		},
		Config: map[string]any{"Env": []string{"A=1"}, "Cmd": []string{"sh"}, "User": "1000", "WorkingDir": "/w", "Entrypoint": []string{"/init"},
			"Labels": map[string]string{"k": "v"}, "Volumes": map[string]any{"/v": map[string]any{}}},
	}
}

func noise(n int) string {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return string(b)
}

// layerOf returns the descriptor of layer i of a manifest.
func layerOf(t testing.TB, blobs registrytest.Blobs, manifest registrytest.Descriptor, i int) registrytest.Descriptor {
	t.Helper()
	var m struct{ Layers []registrytest.Descriptor }
	decode(t, blobs[manifest.Digest], &m)
	return m.Layers[i]
}
