package images_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// T-33: a pull ends at once when it is told to, wherever it waits: for an answer, a token, bytes, the time that a
// server asked for, or another process.
func TestPullEndsWhenTold(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1<<20))
	big := layerOf(t, blobs, d, 1)
	for name, stall := range map[string]func(f *fake, w http.ResponseWriter, r *http.Request) (wait bool){
		"manifest": func(_ *fake, _ http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/manifests/")
		},
		"token": func(f *fake, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				return true
			}
			challenge(w, "Bearer", f.URL+"/token")
			return false
		},
		"login": func(f *fake, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v2/" {
				return true
			}
			challenge(w, "Bearer", f.URL+"/token")
			return false
		},
		"blob": func(_ *fake, _ http.ResponseWriter, r *http.Request) bool { return isBlob(r, big) },
		"body": func(_ *fake, w http.ResponseWriter, r *http.Request) bool {
			if isBlob(r, big) {
				w.Header().Set("Content-Length", fmt.Sprint(big.Size))
				w.Write(blobs[big.Digest][:big.Size/2])
				http.NewResponseController(w).Flush()
				return true
			}
			return false
		},
		"retry": func(_ *fake, w http.ResponseWriter, r *http.Request) bool {
			if isBlob(r, big) {
				w.Header().Set("Retry-After", "50")
				w.WriteHeader(http.StatusTooManyRequests)
				http.NewResponseController(w).Flush()
				return true
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
			t.Setenv("HOME", t.TempDir())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			release := make(chan bool)
			defer close(release)
			f.handle = func(w http.ResponseWriter, r *http.Request) bool {
				if !stall(f, w, r) {
					return w.Header().Get("WWW-Authenticate") != ""
				}
				time.AfterFunc(100*time.Millisecond, cancel)
				if name != "retry" {
					<-release
				}
				return true
			}
			im, st := client(t, images.Options{Fetch: fetch.Options{Stall: time.Minute}})
			endsWhenTold(t, func() error {
				img, err := im.Resolve(ctx, mustRef(t, f.ref("v1")), "linux/amd64")
				if err == nil {
					_, err = im.Pull(ctx, img)
				}
				return err
			})
			if damage, err := st.Verify(context.Background(), store.VerifyOptions{}); err != nil || len(damage) > 0 {
				t.Errorf("%v, %v", damage, err)
			}
		})
	}
	t.Run("another process", func(t *testing.T) {
		f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		im, st := client(t, images.Options{})
		img, err := resolve(t, im, f.ref("v1"))
		if err != nil {
			t.Fatal(err)
		}
		w, err := st.NewBlob(t.Context(), img.Layers[1].Digest, img.Layers[1].Size)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		time.AfterFunc(100*time.Millisecond, cancel)
		endsWhenTold(t, func() error { _, err := im.Pull(ctx, img); return err })
	})
}

func endsWhenTold(t *testing.T, work func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it goes on")
	}
}
