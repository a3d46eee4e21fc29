package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/4cc2e759/sandbox/images/layer"
)

// additions are files and links that belong above an image's layers, by their path inside.
type additions struct {
	files map[string][]byte
	links map[string]string
}

func (a *additions) file(name string, content []byte) {
	if a.files == nil {
		a.files = map[string][]byte{}
	}
	a.files[path.Join("/", name)] = content
}

func (a *additions) link(name, to string) {
	if a.links == nil {
		a.links = map[string]string{}
	}
	a.links[path.Join("/", name)] = to
}

// addedLayer is a layer with these, made once per content. A folder in a layer hides a link of that name
// below it and all that the link leads to, so folders lie where the image's links lead: etc may be a link.
func (m *Manager) addedLayer(prefix string, a additions, image *layer.Stack) (string, error) {
	files, err := placed(a.files, image)
	if err != nil {
		return "", err
	}
	links, err := placed(a.links, image)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%q %d\n", name, len(files[name]))
		h.Write(files[name])
	}
	for _, name := range slices.Sorted(maps.Keys(links)) {
		fmt.Fprintf(h, "%q -> %q\n", name, links[name])
	}
	return m.ownLayer(context.Background(), prefix+hex.EncodeToString(h.Sum(nil))[len(prefix):], func(dir string) error {
		for name, content := range files {
			if err := add(dir, name, func(p string) error { return os.WriteFile(p, content, 0o644) }); err != nil {
				return err
			}
		}
		for name, to := range links {
			if err := add(dir, name, func(p string) error { return os.Symlink(to, p) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// add makes one thing of a layer that is being made.
func add(dir, name string, make func(p string) error) error {
	p := filepath.Join(dir, "fs", filepath.Clean("/"+name))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	return make(p)
}

// placed are the same things where the image's links lead to. Nothing may take the place of a folder.
func placed[T any](things map[string]T, image *layer.Stack) (map[string]T, error) {
	out := map[string]T{}
	for name, what := range things {
		dir, err := image.Resolve(path.Dir(name))
		if err != nil {
			return nil, fmt.Errorf("%s of the image: %w", path.Dir(name), cause(err))
		}
		at := path.Join(dir, path.Base(name))
		if fi, err := image.Stat(dir); err == nil && !fi.IsDir() {
			return nil, fmt.Errorf("%s of the image is no folder", dir)
		}
		if fi, err := image.Lstat(at); err == nil && fi.IsDir() {
			return nil, fmt.Errorf("%s of the image is a folder", at)
		}
		out[at] = what
	}
	return out, nil
}

// cause is what the kernel said, without the path that the message names already.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
