package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/4cc2e759/sandbox/images/oci"
)

// Contents looks into a tar file: what kind of archive it is ("oci-archive", "docker-archive"), and what its
// images are called there, one list for each. One that is both is the former, which has the digests.
func Contents(ctx context.Context, path string, o Options) (kind string, names [][]string, err error) {
	f, err := openTar(ctx, path, o)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	var all []entry
	b, err := readAll(f, "index.json", oci.MaxManifest)
	if err == nil {
		doc, err := oci.ParseDocument(b, oci.TypeIndex)
		if err != nil {
			return "", nil, err
		}
		all, kind = layoutEntries(doc.Manifests), "oci-archive"
	} else {
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
		list, err := dockerImages(f)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil, errors.New("not an image: it has neither index.json nor manifest.json")
		} else if err != nil {
			return "", nil, err
		}
		all, kind = dockerEntries(list), "docker-archive"
	}
	seen := map[string]int{}
	for _, e := range all {
		i, ok := seen[e.image]
		if !ok {
			i = len(names)
			seen[e.image] = i
			names = append(names, nil)
		}
		if e.name != "" {
			names[i] = append(names[i], e.name)
		} else {
			names[i] = append(names[i], e.tags...)
		}
	}
	for i := range names {
		slices.Sort(names[i])
		names[i] = slices.Compact(names[i])
	}
	return kind, names, nil
}

// dockerImage is one image of a manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func dockerImages(f files) ([]dockerImage, error) {
	b, err := readAll(f, "manifest.json", oci.MaxManifest)
	if err != nil {
		return nil, err
	}
	var list []dockerImage
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	return list, nil
}
