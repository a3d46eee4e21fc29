package images_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// Who runs an image that is there does not need its registry, and hears when a name leads elsewhere.
func TestRegistryThatIsGone(t *testing.T) {
	blobs := registrytest.Blobs{}
	one, two := blobs.Image(t, app(10)), blobs.Image(t, app(20))
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": one})
	var said []string
	notice := func(line string) { said = append(said, line) }
	im, st := client(t, images.Options{Notice: notice})
	if _, _, err := pull(t, im, f.ref("v1")); err != nil || len(said) > 0 {
		t.Fatalf("%v, %q", err, said)
	}
	f.tags["v1"] = two
	want := []string{f.ref("v1") + " is " + two.Digest[:19] + "… now; it was " + one.Digest[:19] + "…"}
	if img, _, err := pull(t, im, f.ref("v1")); err != nil || string(img.Manifest) != two.Digest || !slices.Equal(said, want) {
		t.Errorf("%v, said %q, want %q", err, said, want)
	}
	f.Close()
	if _, _, err := pull(t, im, f.ref("v1")); err == nil {
		t.Error("a pull of a tag took what was there")
	}
	said = nil
	stale := images.New(st, images.Options{Stale: true, Notice: notice})
	want = []string{f.ref("v1") + ": its registry cannot be reached; what it was is used, " + two.Digest[:19] + "…"}
	if img, layers, err := pull(t, stale, f.ref("v1")); err != nil || string(img.Manifest) != two.Digest || len(layers) != 2 || !slices.Equal(said, want) {
		t.Errorf("%v, said %q, want %q", err, said, want)
	}
	if _, _, err := pull(t, stale, f.ref("v2")); err == nil {
		t.Error("a tag that was never there was found")
	}
}

// A registry of the local network that has plain http only: how to allow that is said.
func TestPlainHTTPElsewhere(t *testing.T) {
	f := newFake(t, registrytest.Blobs{}, nil)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, f.host())
	}
	im, _ := client(t, images.Options{Transport: &http.Transport{DialContext: dial}})
	_, err := resolve(t, im, "registry.test:5000/app:v1")
	if err == nil || !strings.Contains(strings.Join(hint.Of(err), "\n"), `--allow-http allows, or insecure = true in [registry."registry.test:5000"]`) {
		t.Errorf("%v, hint %q", err, hint.Of(err))
	}
}
