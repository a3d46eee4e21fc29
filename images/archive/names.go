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

// Names looks into a tar file: what kind of archive it is ("oci-archive", "docker-archive"), and what its
// images are called there. One that is both is the former, which has the digests.
func Names(ctx context.Context, path string, o Options) (kind string, names []string, err error) {
	f, err := openTar(ctx, path, o)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	b, err := readAll(f, "index.json", oci.MaxManifest)
	if err == nil {
		doc, err := oci.ParseDocument(b, oci.TypeIndex)
		if err != nil {
			return "", nil, err
		}
		for _, d := range doc.Manifests {
			if n := d.Annotations[nameAnnotation]; n != "" {
				names = append(names, n)
			} else if n := d.Annotations[refAnnotation]; n != "" {
				names = append(names, n)
			}
		}
		return "oci-archive", distinct(names), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	b, err = readAll(f, "manifest.json", oci.MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, errors.New("not an image: it has neither index.json nor manifest.json")
	} else if err != nil {
		return "", nil, err
	}
	var images []struct{ RepoTags []string }
	if err := json.Unmarshal(b, &images); err != nil {
		return "", nil, fmt.Errorf("manifest.json: %w", err)
	}
	for _, im := range images {
		names = append(names, im.RepoTags...)
	}
	return "docker-archive", distinct(names), nil
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
