package images_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// cut sends the first n bytes of what r asks for and then drops the connection.
func cut(w http.ResponseWriter, r *http.Request, b []byte, n int) int {
	start := 0
	fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start)
	w.Header().Set("Content-Length", fmt.Sprint(len(b)-start))
	if start > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(b)-1, len(b)))
		w.WriteHeader(http.StatusPartialContent)
	}
	end := min(start+n, len(b))
	w.Write(b[start:end])
	http.NewResponseController(w).Flush()
	if end == len(b) {
		return end - start
	}
	time.Sleep(200 * time.Millisecond) // a reset must not overtake the bytes
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	return end - start
}

func TestPullOverABadLine(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(2<<20))
	big := layerOf(t, blobs, d, 1)
	b := blobs[big.Digest]
	for _, at := range []int{0, 1, len(b) / 2, len(b) - 1} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
			var n, sent atomic.Int64
			f.handle = func(w http.ResponseWriter, r *http.Request) bool {
				if !isBlob(r, big) {
					return false
				}
				limit := len(b)
				if n.Add(1) == 1 {
					limit = at
				}
				sent.Add(int64(cut(w, r, b, limit)))
				return true
			}
			im, _ := client(t, images.Options{})
			_, layers, err := pull(t, im, f.ref("v1"))
			if err != nil {
				t.Fatal(err)
			}
			if readLayer(t, layers[1], "data") != noise(2<<20) {
				t.Error("wrong content")
			}
			if sent.Load() > int64(len(b))*11/10 {
				t.Errorf("%d bytes for %d", sent.Load(), len(b))
			}
		})
	}
}

// TestPullGoesOn: a pull that was ended is continued by the next one, from where it was.
func TestPullGoesOn(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(2<<20))
	big := layerOf(t, blobs, d, 1)
	b := blobs[big.Digest]
	for _, damaged := range []bool{false, true} {
		t.Run(fmt.Sprint("damaged ", damaged), func(t *testing.T) {
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
			release := make(chan bool)
			defer close(release)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			first := true
			f.handle = func(w http.ResponseWriter, r *http.Request) bool {
				if !isBlob(r, big) || !first {
					return false
				}
				first = false
				w.Header().Set("Content-Length", fmt.Sprint(len(b)))
				w.Write(b[:len(b)/2])
				http.NewResponseController(w).Flush()
				<-release
				return true
			}
			im, st := client(t, images.Options{Fetch: fetch.Options{Stall: time.Minute}, Report: func(_, item string, done, _ int64) {
				if strings.Contains(item, big.Digest[7:19]) && done >= int64(len(b)/2) {
					cancel()
				}
			}})
			img, err := resolve(t, im, f.ref("v1"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := im.Pull(ctx, img); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v", err)
			}
			part := st.Path(store.Partial, big.Digest[7:])
			if fi, err := os.Stat(part); err != nil || fi.Size() != int64(len(b)/2) {
				t.Fatalf("the partial blob: %v %v", fi, err)
			}
			if damaged {
				x := bytes.Clone(b[:len(b)/2])
				x[1000]++
				os.WriteFile(part, x, 0o600)
			}
			f.paths()
			layers, err := images.New(st, images.Options{}).Pull(t.Context(), img)
			if err != nil {
				t.Fatal(err)
			}
			if readLayer(t, layers[1], "data") != noise(2<<20) {
				t.Error("wrong content")
			}
			want := fmt.Sprintf("bytes=%d-", len(b)/2)
			if !damaged && !slices.ContainsFunc(f.log, func(r *http.Request) bool { return isBlob(r, big) && r.Header.Get("Range") == want }) {
				t.Errorf("no request for %s", want)
			}
		})
	}
}

// nothingStays checks that a failed pull left no layer and no blob of it.
func nothingStays(t *testing.T, st *store.Store, l registrytest.Descriptor, diff store.Digest) {
	t.Helper()
	if st.HasBlob(t.Context(), store.Digest(l.Digest), -1) {
		t.Error("the blob is there")
	}
	if _, ok := st.Layer(t.Context(), diff.Hex()); ok {
		t.Error("the layer is there")
	}
	for _, dir := range []string{store.Partial, store.Temp} {
		if left, _ := os.ReadDir(st.Path(dir)); len(left) > 0 {
			t.Errorf("left in %s: %v", dir, left)
		}
	}
}

// lyingLayer is a blob as it is served.
type lyingLayer struct {
	served   []byte // in place of what the manifest names
	declared []byte // what the manifest names; nil = the good blob
	ok       bool
}

func goodLayer() registrytest.Layer {
	return registrytest.Layer{Files: []registrytest.File{{Name: "data", Body: noise(300 << 10)}}}
}

func lyingLayers(t *testing.T, good registrytest.Layer) map[string]lyingLayer {
	t.Helper()
	gz, _, _ := good.Blob(t)
	raw := good.Tar(t)
	multi := append(gzipped(t, raw[:1000]), gzipped(t, raw[1000:])...)
	flipped := bytes.Clone(gz)
	flipped[len(gz)/2] ^= 0x40
	other, _, _ := registrytest.Layer{Files: []registrytest.File{{Name: "x"}}}.Blob(t)
	padded := append(bytes.Clone(raw), make([]byte, 10<<10)...)
	return map[string]lyingLayer{
		"good":                     {gz, nil, true},
		"several members":          {multi, multi, true},
		"plain under a gzip label": {raw, raw, true},
		"flipped byte":             {flipped, nil, false},
		"flipped byte, declared":   {flipped, flipped, false},
		"another layer":            {other, nil, false},
		"another layer, declared":  {other, other, false},
		"padding":                  {gzipped(t, padded), gzipped(t, padded), false},
		"truncated":                {gz[:len(gz)/2], nil, false},
		"no trailer, declared":     {gz[:len(gz)-8], gz[:len(gz)-8], false},
		"no last byte, declared":   {gz[:len(gz)-1], gz[:len(gz)-1], false},
		"header only, declared":    {gz[:10], gz[:10], false},
		"half, declared":           {gz[:len(gz)/2], gz[:len(gz)/2], false},
		"garbage behind, declared": {append(bytes.Clone(gz), "garbage"...), append(bytes.Clone(gz), "garbage"...), false},
		"garbage":                  {[]byte("<html>please log in</html>"), nil, false},
		"garbage, declared":        {[]byte("<html>please log in</html>"), []byte("<html>please log in</html>"), false},
		"nothing, declared":        {[]byte{}, []byte{}, false},
		"xz, declared":             {[]byte("\xfd7zXZ\x00garbage"), []byte("\xfd7zXZ\x00garbage"), false},
		"zstd cut, declared":       {[]byte("\x28\xb5\x2f\xfd\x04"), []byte("\x28\xb5\x2f\xfd\x04"), false},
	}
}

func TestLyingLayers(t *testing.T) {
	good := goodLayer()
	raw := good.Tar(t)
	for name, c := range lyingLayers(t, good) {
		t.Run(name, func(t *testing.T) {
			blobs := registrytest.Blobs{}
			l := good
			l.Raw = c.declared
			d := blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{l}})
			ld := layerOf(t, blobs, d, 0)
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
			f.handle = func(w http.ResponseWriter, r *http.Request) bool {
				if isBlob(r, ld) {
					w.Write(c.served)
				}
				return isBlob(r, ld)
			}
			im, st := client(t, images.Options{})
			_, _, err := pull(t, im, f.ref("v1"))
			if (err == nil) != c.ok {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				return
			}
			diff := store.Digest(registrytest.Digest(raw))
			nothingStays(t, st, ld, diff)
			if !strings.Contains(err.Error(), "layer "+ld.Digest[7:19]) {
				t.Errorf("the layer is not named: %v", err)
			}
			var hash *fetch.HashError
			var size *fetch.SizeError
			if c.declared == nil && !errors.As(err, &hash) && !errors.As(err, &size) {
				t.Errorf("not told to be wrong content: %v", err)
			}
		})
	}
}

// What arrived wrong is not taken up by the next pull, however early that was noticed: the rest of a large layer is not
// waited for then, so that nobody has compared the whole with its digest.
func TestWrongBeginningsAreNotKept(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(12<<20))
	big := layerOf(t, blobs, d, 1)
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	wrong := bytes.Clone(blobs[big.Digest])
	clear(wrong[100:1000])
	f.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if isBlob(r, big) {
			w.Write(wrong)
		}
		return isBlob(r, big)
	}
	im, st := client(t, images.Options{})
	if _, _, err := pull(t, im, f.ref("v1")); err == nil {
		t.Fatalf("got %v", err)
	}
	if left, _ := os.ReadDir(st.Path(store.Partial)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	f.handle = nil
	if _, layers, err := pull(t, im, f.ref("v1")); err != nil || readLayer(t, layers[1], "data") != noise(12<<20) {
		t.Errorf("the next pull: %v", err)
	}
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestTokens is the exchange of the distribution specification, with tokens that end in mid-pull.
func TestTokens(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1<<20))
	big := layerOf(t, blobs, d, 1)
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	elsewhere := newFake(t, blobs, nil)
	var tokens, used atomic.Int64
	f.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			if n := tokens.Add(1); n <= 2 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(503)
				return true
			}
			json.NewEncoder(w).Encode(map[string]any{"token": fmt.Sprint("t", tokens.Load())})
			return true
		}
		if r.Header.Get("Authorization") != fmt.Sprint("Bearer t", tokens.Load()) || used.Add(1) == 3 {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="s",scope="repository:app:pull"`, f.URL))
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if isBlob(r, big) { // layers of large registries lie elsewhere
			http.Redirect(w, r, elsewhere.URL+"/v2/app/blobs/"+big.Digest, http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	im, _ := client(t, images.Options{})
	if _, _, err := pull(t, im, f.ref("v1")); err != nil {
		t.Fatal(err)
	}
	if n := tokens.Load(); n < 4 || n > 6 { // two that failed, one, one or more after it ended
		t.Errorf("%d tokens", tokens.Load())
	}
	for _, r := range elsewhere.log {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token was sent elsewhere")
		}
	}
	if len(elsewhere.log) != 1 {
		t.Errorf("%d requests elsewhere", len(elsewhere.log))
	}
}

func TestTemporaryFailures(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1000))
	for _, code := range []int{429, 500, 503} {
		f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
		seen := map[string]int{}
		f.handle = func(w http.ResponseWriter, r *http.Request) bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			if seen[r.URL.Path]++; seen[r.URL.Path] <= 2 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(code)
				return true
			}
			return false
		}
		im, _ := client(t, images.Options{})
		if _, _, err := pull(t, im, f.ref("v1")); err != nil {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// TestBomb: a layer of nothing but zeros is refused before it fills the disk.
func TestBomb(t *testing.T) {
	if testing.Short() {
		t.Skip("inflates more than a GiB")
	}
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{{Raw: bomb(t, 1200<<20)}}})
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	im, st := client(t, images.Options{})
	_, _, err := pull(t, im, f.ref("v1"))
	if err == nil || !strings.Contains(err.Error(), "250") {
		t.Errorf("got %v", err)
	}
	nothingStays(t, st, layerOf(t, blobs, d, 0), "sha256:"+store.Digest(strings.Repeat("0", 64)))
}
