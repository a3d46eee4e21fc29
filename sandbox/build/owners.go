package build

import (
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/sandbox/owner"
)

// newOwners takes out of a tree that was written in a [Box] with Owners what is remembered there, as the
// owners of a layer over those below. What is taken away from the tree afterwards may stay in it.
func newOwners(fs string, below []string) (layer.Owners, error) {
	remembered, err := owner.Read(fs)
	if err != nil {
		return nil, err
	}
	owners, err := OwnersOver(fs, below, remembered)
	if err != nil {
		return nil, err
	}
	return owners, owner.Strip(fs)
}

// writeOwners makes the index of the layer in dir, of what is still there.
func writeOwners(dir string, owners layer.Owners) error {
	root, err := os.OpenRoot(filepath.Join(dir, "fs"))
	if err != nil {
		return err
	}
	defer root.Close()
	for path := range owners {
		name := path
		if name == "" {
			name = "."
		}
		if _, err := root.Lstat(name); os.IsNotExist(err) {
			delete(owners, path)
		}
	}
	return layer.WriteOwners(dir, owners)
}
