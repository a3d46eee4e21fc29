package images_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// configured is an image without layers whose configuration is exactly this.
func configured(t testing.TB, blobs registrytest.Blobs, config string) registrytest.Descriptor {
	c := blobs.Put("application/vnd.oci.image.config.v1+json", []byte(config))
	const mt = "application/vnd.oci.image.manifest.v1+json"
	return blobs.JSON(t, mt, map[string]any{"schemaVersion": 2, "mediaType": mt, "config": c, "layers": []any{}})
}

// Configurations that exist, by tools that write little, nothing or null, and such as are no configuration.
func TestOddConfigs(t *testing.T) {
	const root = `"rootfs":{"type":"layers","diff_ids":[]}`
	for config, ok := range map[string]bool{
		`{` + root + `}`: true,
		`{"architecture":"amd64","os":"linux","config":null,` + root + `}`:                                                          true,
		`{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":null,"Volumes":null,"Labels":null},` + root + `}`:          true,
		`{"architecture":"amd64","os":"linux","created":null,"history":null,` + root + `}`:                                          true,
		`{"architecture":"amd64","os":"linux","container":"x","docker_version":"1","config":{"Healthcheck":{},"X":1},` + root + `}`: true,
		`{"architecture":"amd64","os":"linux","config":{"Env":["NOVALUE","=x","A=b=c",""]},` + root + `}`:                           true,
		`{"architecture":"amd64","os":"linux","config":{"Labels":{"A":"1","a":"2","":"x"}},` + root + `}`:                           true,
		`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":null}}`:                                          true,
		`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}`:                                                          true,
		`{"architecture":"amd64","os":"linux"}`:                                                                                     false,
		`{"architecture":"amd64","os":"linux","rootfs":{"type":"other","diff_ids":[]}}`:                                             false,
		`{"architecture":"amd64","os":"linux","config":{"Env":"A=b"},` + root + `}`:                                                 false,
		`{"architecture":"amd64","os":"linux","config":{"Cmd":[1]},` + root + `}`:                                                   false,
		`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}}`:                            false,
		`{"architecture":"amd64","architecture":"arm64","os":"linux",` + root + `}`:                                                 false,
		`{"architecture":"s390x","os":"linux",` + root + `}`:                                                                        false,
		`[]`: false, `null`: false, `"x"`: false, ``: false,
	} {
		blobs := registrytest.Blobs{}
		f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": configured(t, blobs, config)})
		im, _ := client(t, images.Options{})
		img, layers, err := pull(t, im, f.ref("v1"))
		if (err == nil) != ok {
			t.Errorf("%s: %v", config, err)
		}
		if err == nil {
			if known, found := im.Known(t.Context(), img.Manifest); !found || len(layers) != 0 || !slices.Equal(known.Config.Env, img.Config.Env) {
				t.Errorf("%s: %+v", config, known)
			}
		}
	}
}

// T-68: indexes that name each other many times are each asked for once; one too deep is refused.
func TestIndexesInIndexes(t *testing.T) {
	blobs := registrytest.Blobs{}
	end := blobs.Image(t, registrytest.Image{Arch: "s390x"})
	last := withoutPlatform(blobs.Index(t, end))
	twin := func(d registrytest.Descriptor) registrytest.Descriptor { // two documents that both lead on, many times
		var m map[string]any
		decode(t, blobs[blobs.Index(t, slices.Repeat([]registrytest.Descriptor{d}, 30)...).Digest], &m)
		m["annotations"] = map[string]string{"twin": "yes"}
		return blobs.JSON(t, d.MediaType, m)
	}
	a, b := twin(last), blobs.Index(t, slices.Repeat([]registrytest.Descriptor{last}, 30)...)
	top := blobs.Index(t, withoutPlatform(a), withoutPlatform(b), withoutPlatform(a), withoutPlatform(b))
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": top})
	im, _ := client(t, images.Options{})
	_, err := resolve(t, im, f.ref("v1"))
	var p *oci.PlatformError
	if !errors.As(err, &p) && !errors.Is(err, oci.ErrNotRunnable) {
		t.Errorf("got %v", err)
	}
	if got := f.paths(); len(got) > 8 {
		t.Errorf("%d requests: %v", len(got), got)
	}
	deep := withoutPlatform(blobs.Image(t, app(1000)))
	for range 64 {
		deep = withoutPlatform(blobs.Index(t, deep))
	}
	f = newFake(t, blobs, map[string]registrytest.Descriptor{"v1": deep})
	if _, err := resolve(t, im, f.ref("v1")); err == nil || !strings.Contains(err.Error(), "deep") || len(f.paths()) > 8 {
		t.Errorf("64 deep, %d requests: %v", len(f.paths()), err)
	}
}

// T-69, T-70: what a manifest says beside digests leads nowhere: urls of foreign layers are not asked, and data in a
// descriptor is not taken for the blob.
func TestUrlsAndDataAreNotBelieved(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1000))
	foreign := newFake(t, blobs, nil)
	var m map[string]any
	decode(t, blobs[d.Digest], &m)
	for _, l := range append(m["layers"].([]any), m["config"]) {
		x := l.(map[string]any)
		x["urls"] = []string{foreign.URL + "/v2/app/blobs/" + x["digest"].(string), "file:///etc/passwd"}
		x["data"] = "bm90IHRoZSBjb250ZW50"
	}
	m["layers"].([]any)[0].(map[string]any)["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	d = blobs.JSON(t, d.MediaType, m)
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	im, _ := client(t, images.Options{})
	if _, layers, err := pull(t, im, f.ref("v1")); err != nil || readLayer(t, layers[1], "data") != noise(1000) {
		t.Errorf("the registry has everything: %v", err)
	}
	missing := layerOf(t, blobs, d, 0)
	f.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if isBlob(r, missing) {
			http.NotFound(w, r)
		}
		return isBlob(r, missing)
	}
	im, _ = client(t, images.Options{})
	if _, _, err := pull(t, im, f.ref("v1")); err == nil || !strings.Contains(err.Error(), missing.Digest[7:19]) {
		t.Errorf("a layer that is only elsewhere: %v", err)
	}
	if got := foreign.paths(); len(got) > 0 {
		t.Errorf("the other server was asked: %v", got)
	}
}

// T-40: a tag that moves while its documents are fetched gives one image, not a mixture.
func TestTagThatMovesInBetween(t *testing.T) {
	blobs := registrytest.Blobs{}
	one, two := blobs.Image(t, app(10)), blobs.Image(t, app(20))
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": one})
	f.handle = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			f.tags["v1"] = two
		}
		return false
	}
	im, _ := client(t, images.Options{})
	img, layers, err := pull(t, im, f.ref("v1"))
	if err != nil || string(img.Manifest) != one.Digest || readLayer(t, layers[1], "data") != noise(10) {
		t.Errorf("%+v, %v", img, err)
	}
	img, layers, err = pull(t, im, f.ref("v1"))
	if err != nil || string(img.Manifest) != two.Digest || readLayer(t, layers[1], "data") != noise(20) {
		t.Errorf("after the move: %+v, %v", img, err)
	}
}

// T-86: zeros behind the end of the archive cost no more than in it.
func TestBombBehindTheEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("inflates more than a GiB")
	}
	blobs := registrytest.Blobs{}
	z := zstded(t, make([]byte, 8<<20))
	b := append(zstded(t, goodLayer().Tar(t)), slices.Repeat(z, 160)...)
	d := blobsOf(t, blobs, b, "sha256:"+strings.Repeat("0", 64))
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	im, _ := client(t, images.Options{})
	if _, _, err := pull(t, im, f.ref("v1")); err == nil || !strings.Contains(err.Error(), "250") {
		t.Errorf("got %v", err)
	}
}

// What a registry says is read in one way only, and never becomes part of a message as it is.
func TestErrorsOfRegistriesAreBounded(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(10))
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	f.handle = func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": "DENIED", "message": strings.Repeat("\x1b[2Jx", 1<<18)}}})
		return true
	}
	im, _ := client(t, images.Options{})
	_, err := resolve(t, im, f.ref("v1"))
	if err == nil || len(fmt.Sprint(err)) > 1000 || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%.300v", err)
	}
}
