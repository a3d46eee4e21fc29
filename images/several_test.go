package images_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// What `podman save -m` writes: two images, one with two names, and a layer that both stand on.
func TestDockerArchiveOfSeveral(t *testing.T) {
	var files []registrytest.File
	type saved struct {
		Config           string
		RepoTags, Layers []string
	}
	var list []saved
	for name, tags := range map[string][]string{"one": {"localhost/a:1", "docker.io/library/c:2"}, "two": {"localhost/b:1"}, "none": nil} {
		raw, _, diff := registrytest.Layer{Files: []registrytest.File{{Name: "data", Body: name}}, Compression: "none"}.Blob(t)
		config, err := json.Marshal(map[string]any{"architecture": "amd64", "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{diff}}})
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, registrytest.File{Name: name + ".json", Body: string(config)}, registrytest.File{Name: name + ".tar", Body: string(raw)})
		list = append(list, saved{name + ".json", tags, []string{name + ".tar"}})
	}
	b, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	path := file(t, registrytest.Layer{Files: append(files, registrytest.File{Name: "manifest.json", Body: string(b)})}.Tar(t))
	for name, want := range map[string]string{"localhost/a:1": "one", "c:2": "one", "docker.io/library/c:2": "one", "localhost/b:1": "two", "2": "one"} {
		im, _ := client(t, images.Options{})
		_, layers, err := pull(t, im, "docker-archive:"+path+":"+name)
		if err != nil || readLayer(t, layers[0], "data") != want {
			t.Errorf("pull %s: %v", name, err)
		}
		if name == "2" { // a tag is no name
			continue
		}
		im, _ = client(t, images.Options{})
		img, err := im.Import(t.Context(), images.File{Path: path}, name, "linux/amd64")
		if err != nil {
			t.Errorf("import %s: %v", name, err)
			continue
		}
		if layers, err = im.Pull(t.Context(), img); err != nil || readLayer(t, layers[0], "data") != want {
			t.Errorf("import %s: %+v, %v", name, layers, err)
		}
	}
	im, st := client(t, images.Options{})
	for name, want := range map[string]string{"": "holds 3 images: ", "d:1": "calls none of them d:1", "1": "calls none of them 1"} {
		if _, err := im.Import(t.Context(), images.File{Path: path, Called: "-"}, name, "linux/amd64"); err == nil || !strings.HasPrefix(err.Error(), "import -: the file holds 3 images") ||
			!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "docker.io/library/c:2, localhost/a:1") {
			t.Errorf("import as %q: %v", name, err)
		}
	}
	for name, want := range map[string]string{"": "holds 3 images", ":1": `2 images with the tag "1"`, ":@3": "only 3", ":d:1": `no image "d:1"`} {
		if _, err := resolve(t, im, "docker-archive:"+path+name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if recs, err := st.Images(); err != nil || len(recs) > 0 {
		t.Errorf("%v, %v", recs, err)
	}
}
