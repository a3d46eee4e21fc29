package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// dirEpoch is the time of every file of an imported folder, 1980-01-01: a checkout's own times differ
// from one machine to the next, and zip files know no earlier ones.
const dirEpoch = 315532800

// dirPath is what a shell finds programs by where no image says it.
const dirPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// dir is a folder with a root file system. It is packed in canonical form, so that the same files
// give the same digest everywhere, whoever owns them there.
type dir struct {
	path string
	docs documents
}

func openDir(path string, _ Options) (Archive, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return nil, errors.New("not a folder")
	}
	if form, take := Folder(path); form != "" {
		return nil, hint.With(fmt.Errorf("it holds an image in %s form; dir: takes a folder as the root of one", form), take)
	}
	return &dir{path: path, docs: documents{}}, nil
}

// Folder says in whose form a folder holds an image, "" if it holds none, and how what it holds is taken.
func Folder(path string) (form, take string) {
	has := func(name string) bool { _, err := os.Lstat(filepath.Join(path, name)); return err == nil }
	switch {
	case has("oci-layout") && has("index.json"):
		return "OCI's", "sandbox pull oci:" + path
	case has("version") && has("manifest.json"):
		return "skopeo's own", "skopeo copy dir:" + path + " oci:LAYOUT, then sandbox pull oci:LAYOUT"
	}
	return "", "for a folder with the files of a system: sandbox pull dir:" + path
}

func packOptions() layer.PackOptions { return layer.PackOptions{Epoch: dirEpoch} }

// First reads the whole folder for its digest.
func (a *dir) First(ctx context.Context, platform string) (oci.First, error) {
	p, err := oci.ParsePlatform(platform)
	if err != nil {
		return oci.First{}, err
	}
	d, err := layer.DiffID(ctx, a.path, packOptions())
	if err != nil {
		return oci.First{}, err
	}
	config := map[string]any{
		"architecture": p.Architecture, "os": p.OS,
		"config": map[string]any{"Env": []string{dirPath}, "Cmd": []string{"/bin/sh"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []store.Digest{d.DiffID}},
	}
	if p.Variant != "" {
		config["variant"] = p.Variant
	}
	b, err := json.Marshal(config)
	if err != nil {
		return oci.First{}, err
	}
	return a.docs.manifest(b, []oci.Descriptor{{MediaType: oci.TypeLayer, Digest: d.DiffID, Size: d.Bytes}})
}

// Get returns what First made.
func (a *dir) Get(ctx context.Context, d oci.Descriptor, max int64) ([]byte, error) {
	return a.docs.Get(ctx, d, max)
}

// Layer packs the folder again. One that changed in between has another digest, which is found at the
// end.
func (a *dir) Layer(ctx context.Context, l oci.Layer, offset int64) (*Body, error) {
	if offset != 0 {
		return nil, fmt.Errorf("cannot read a folder from byte %d on", offset)
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(layer.Pack(ctx, w, a.path, packOptions()))
	}()
	stop := context.AfterFunc(ctx, func() { r.CloseWithError(ctx.Err()) })
	return &Body{r, func() error { stop(); r.Close(); <-done; return nil }}, nil
}

// Packed is n: the folder is not compressed.
func (a *dir) Packed(n int64) int64 { return n }

// Close does nothing.
func (a *dir) Close() error { return nil }
