package images_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// lies are documents that no image has, made from the good manifest d.
func lies(t *testing.T, blobs registrytest.Blobs, d registrytest.Descriptor) map[string]registrytest.Descriptor {
	t.Helper()
	change := func(change func(m map[string]any)) registrytest.Descriptor {
		var c map[string]any
		decode(t, blobs[d.Digest], &c)
		change(c)
		return blobs.JSON(t, d.MediaType, c)
	}
	raw := func(mediaType, s string) registrytest.Descriptor { return blobs.Put(mediaType, []byte(s)) }
	return map[string]registrytest.Descriptor{
		"both":         change(func(m map[string]any) { m["manifests"] = []any{} }),
		"fewer layers": change(func(m map[string]any) { m["layers"] = m["layers"].([]any)[:1] }),
		"more layers":  change(func(m map[string]any) { m["layers"] = append(m["layers"].([]any), m["layers"].([]any)[0]) }),
		"negative":     change(func(m map[string]any) { m["layers"].([]any)[0].(map[string]any)["size"] = -5 }),
		"huge":         change(func(m map[string]any) { m["layers"].([]any)[0].(map[string]any)["size"] = 1 << 62 }),
		"huge config":  change(func(m map[string]any) { m["config"].(map[string]any)["size"] = 1 << 30 }),
		"config size":  change(func(m map[string]any) { m["config"].(map[string]any)["size"] = 5 }),
		"bad digest":   change(func(m map[string]any) { m["layers"].([]any)[0].(map[string]any)["digest"] = "sha256:../../x" }),
		"sha512": change(func(m map[string]any) {
			m["layers"].([]any)[0].(map[string]any)["digest"] = "sha512:" + strings.Repeat("0", 128)
		}),
		"no config": change(func(m map[string]any) { m["config"].(map[string]any)["digest"] = "sha256:" + strings.Repeat("1", 64) }),
		"artifact": change(func(m map[string]any) {
			m["config"].(map[string]any)["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
		}),
		"another type": change(func(m map[string]any) { m["mediaType"] = "application/vnd.oci.image.index.v1+json" }),
		"schema 1":     raw(d.MediaType, `{"schemaVersion":1,"fsLayers":[]}`),
		"twice":        raw(d.MediaType, `{"schemaVersion":2,"layers":[],"Layers":[{}],"config":{}}`),
		"page":         raw("text/html", "<html>log in</html>"),
		"empty":        raw(d.MediaType, ""),
		"list":         raw(d.MediaType, "[]"),
		"deep":         raw(d.MediaType, strings.Repeat(`{"a":`, 10000)),
		"large":        raw(d.MediaType, `{"schemaVersion":2,"x":"`+strings.Repeat("a", 5<<20)+`"}`),
	}
}

func TestLyingDocuments(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(100))
	for tag, desc := range lies(t, blobs, d) {
		t.Run(tag, func(t *testing.T) {
			tag := strings.ReplaceAll(tag, " ", "-")
			f := newFake(t, blobs, map[string]registrytest.Descriptor{tag: desc})
			im, _ := client(t, images.Options{})
			if _, err := resolve(t, im, f.ref(tag)); err == nil {
				t.Error("accepted")
			}
			for _, p := range f.paths() {
				if strings.Contains(p, layerOf(t, blobs, d, 0).Digest) || strings.Contains(p, layerOf(t, blobs, d, 1).Digest) {
					t.Error("a layer was asked for")
				}
			}
		})
	}
}

func TestLyingDigests(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(100))
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	im, _ := client(t, images.Options{})
	f.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
		w.Write(blobs[d.Digest])
		return true
	}
	var hash *fetch.HashError
	if _, err := resolve(t, im, f.ref("v1")); !errors.As(err, &hash) {
		t.Errorf("a header that lies: %v", err)
	}
	f.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Write(append(blobs[d.Digest], ' '))
		}
		return strings.Contains(r.URL.Path, "/manifests/")
	}
	if _, err := resolve(t, im, f.host()+"/app@"+d.Digest); !errors.As(err, &hash) {
		t.Errorf("another document than the digest's: %v", err)
	}
	if _, err := resolve(t, im, f.ref("v1")); err != nil {
		t.Errorf("without the header: %v", err)
	}
}
