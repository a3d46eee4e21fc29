package images_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// T-23: a collection that has found a layer to be rubbish, and a pull that finds the layer there before it is
// deleted: it stays, and what was pulled is all there. Nothing but the lease refers to it.
func TestPullReusesWhatIsAboutToBeCollected(t *testing.T) {
	blobs := registrytest.Blobs{}
	a := app(1 << 12)
	one := blobs.Image(t, a)
	b := a
	b.Layers = append([]registrytest.Layer{}, a.Layers...)
	b.Layers = append(b.Layers, registrytest.Layer{Files: []registrytest.File{{Name: "more", Body: "m"}}})
	two := blobs.Image(t, b)
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"one": one, "two": two})
	im, st := client(t, images.Options{DropBlobs: true})
	if _, _, err := pull(t, im, f.ref("one")); err != nil {
		t.Fatal(err)
	}
	r := mustRef(t, f.ref("one"))
	if err := st.RemoveImage(r.String()); err != nil {
		t.Fatal(err)
	}
	st.Close() // as if that process had ended
	// Another process pulls: its last layer is held back until the collection is over, so that nothing is noted yet.
	other := openStore(t, st.Dir())
	arrived, release := make(chan bool), make(chan bool)
	last := layerOf(t, blobs, two, 2)
	f.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if isBlob(r, last) {
			close(arrived)
			<-release
		}
		return false
	}
	done := make(chan error, 1)
	var layers []store.Layer
	f.paths()
	freed, err := st.GC(t.Context(), func(kind store.Kind, name string) bool {
		select {
		case <-arrived:
		default: // the marking has begun: the candidates are chosen
			go func() {
				var err error
				_, layers, err = pull(t, images.New(other, images.Options{}), f.ref("two"))
				done <- err
			}()
			<-arrived
		}
		return false
	}, store.GCOptions{})
	close(release)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatalf("the pull: %v (collected %+v)", err, freed)
	}
	if freed.Layers != 0 {
		t.Errorf("collected: %+v", freed)
	}
	for i, name := range []string{"etc/name", "data", "more"} {
		if _, err := os.Stat(layers[i].FS + "/" + name); err != nil {
			t.Error(err)
		}
	}
	for _, p := range f.paths() {
		if p == "GET blobs/"+layerOf(t, blobs, two, 0).Digest {
			t.Errorf("a layer that was there was fetched: %s", p)
		}
	}
}

// T-28: a blob that goes away between two looks is fetched as if it had never been there.
func TestBlobsThatVanish(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{{Files: []registrytest.File{{Name: "data", Body: "x"}}}}})
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	im, st := client(t, images.Options{})
	img, layers, err := pull(t, im, f.ref("v1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := st.RemoveLayer(layers[0].Name); err != nil {
		t.Fatal(err)
	}
	st.Close()
	// The disk does not take the lease of the blob: first when it is found, which does not matter, then when
	// it is to be opened. That is the moment in which a collection takes it.
	leases, vanished := 0, false
	again, err := store.Open(st.Dir(), store.Options{Faults: func(op, path string) error {
		if op != "write" || !strings.Contains(path, "/lease-") {
			return nil
		}
		switch leases++; leases {
		case 2:
			return syscall.EIO
		case 3:
			vanished = os.Remove(st.Path(store.Blobs, img.Layers[0].Digest.Hex())) == nil
			return syscall.EIO
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	f.paths()
	if _, err := images.New(again, images.Options{}).Pull(t.Context(), img); err != nil || !vanished {
		t.Errorf("%v; the blob vanished: %v", err, vanished)
	}
	if got := f.paths(); len(got) != 1 {
		t.Errorf("asked for %v", got)
	}
}

// A name whose built layer was lost leads to the same image by other layers once these are unpacked: that is noted, or gc
// would take them again and again. How the name came to be stays.
func TestOtherLayersOfTheSameImageAreNoted(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1<<12))
	f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
	im, st := client(t, images.Options{})
	if _, _, err := pull(t, im, f.ref("v1")); err != nil {
		t.Fatal(err)
	}
	was, err := st.Image(mustRef(t, f.ref("v1")).String())
	if err != nil {
		t.Fatal(err)
	}
	right := slices.Clone(was.Layers)
	was.Layers[len(right)-1], was.Made = "built-and-lost", true
	if err := st.PutImage(was); err != nil {
		t.Fatal(err)
	}
	if _, _, err := pull(t, im, f.ref("v1")); err != nil {
		t.Fatal(err)
	}
	now, err := st.Image(was.Ref)
	if err != nil || !slices.Equal(now.Layers, right) || !now.Made || !now.Pulled.Equal(was.Pulled) || now.Manifest != was.Manifest || now.Size != was.Size {
		t.Errorf("%+v, then %+v, %v", was, now, err)
	}
}
