package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/images/archive"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/printable"
)

// File is a file with images. Called is its name in messages where it lies under a passing one; "" = Path.
type File struct{ Path, Called string }

func (f File) String() string {
	if f.Called != "" {
		return f.Called
	}
	return f.Path
}

// Import takes an image of a file in, an OCI layout as a tar or what `docker save` writes, and calls it name; ""
// is the name that the file gives it. Of several images it takes the one that the file calls name. The blobs are kept,
// so that it can leave as it came when the file is gone.
func (im *Images) Import(ctx context.Context, file File, name, platform string) (*Image, error) {
	if name != "" { // a mistake is told before a long file is read
		if _, err := importName(file, name); err != nil {
			return nil, err
		}
	}
	kind, all, err := archive.Contents(ctx, file.Path, im.archiveOptions())
	if err != nil {
		if p := new(os.PathError); errors.As(err, &p) && p.Path == file.Path { // it is named once
			err = p.Err
		}
		return nil, fmt.Errorf("import %s: %w", file, err)
	}
	name, choice, err := im.pick(file, kind, all, name)
	if err != nil {
		return nil, err
	}
	ref, err := importName(file, name)
	if err != nil {
		return nil, err
	}
	img, err := im.take(ctx, Ref{Kind: Kind(kind), File: file.Path + choice}, ref, platform)
	if err != nil && file.Called != "" {
		err = &renamed{err, file.Path, file.Called}
	}
	return img, err
}

// importName is name as the image's own.
func importName(file File, name string) (Ref, error) {
	ref, err := ParseRef(name)
	switch {
	case err == nil && ref.Kind != Registry:
		err = errors.New("it is a place")
	case err == nil && ref.Digest != "":
		err = errors.New("it has a digest")
	case err != nil:
		if _, why := parseName(name); why != nil {
			err = why
		}
	}
	if err != nil {
		return ref, hint.With(fmt.Errorf("import %s: not a name for an image: %q: %w", file, name, err), "a name looks like team/app:1.0")
	}
	return ref, nil
}

// pick finds the image that is meant, what it will be called and what its place in the file is called: ":NAME", or ""
// for the only one.
func (im *Images) pick(file File, kind string, all [][]string, name string) (called, choice string, err error) {
	list := slices.Concat(all...)
	names := printable.Line(strings.Join(list, ", "), maxError)
	next := "sandbox import " + file.String() + " NAME"
	if len(list) > 0 {
		next = "sandbox import " + file.String() + " " + printable.Line(list[0], maxError)
	}
	full := im.archiveOptions().Full
	switch {
	case len(all) == 0:
		return "", "", fmt.Errorf("import %s: the file holds no image", file)
	case len(all) == 1 && name != "":
		return name, "", nil
	case len(list) == 1 && len(all) == 1:
		return list[0], "", nil
	case len(list) == 0 && len(all) == 1:
		return "", "", hint.With(fmt.Errorf("import %s: the file gives its image no name", file), next)
	case len(all) == 1:
		return "", "", hint.With(fmt.Errorf("import %s: the file gives its image %d names: %s", file, len(list), names), next)
	case len(list) == 0 && file.Called != "":
		return "", "", fmt.Errorf("import %s: the file holds %d images and gives them no names", file, len(all))
	case len(list) == 0:
		return "", "", hint.With(fmt.Errorf("import %s: the file holds %d images and gives them no names", file, len(all)), "sandbox pull "+kind+":"+file.String()+":@0 takes the first")
	case name == "":
		return "", "", hint.With(fmt.Errorf("import %s: the file holds %d images: %s", file, len(all), names), next)
	}
	if i := slices.IndexFunc(list, func(s string) bool { return s == name || full(s) == full(name) }); i >= 0 {
		return name, ":" + list[i], nil
	}
	return "", "", hint.With(fmt.Errorf("import %s: the file holds %d images and calls none of them %s: %s", file, len(all), name, names), next)
}

// take brings the image at from in, with its blobs, and calls it ref.
func (im *Images) take(ctx context.Context, from, ref Ref, platform string) (*Image, error) {
	img, err := im.Resolve(ctx, from, platform)
	if err != nil {
		return nil, err
	}
	p := &pull{im: im, img: img, have: map[store.Digest]store.Layer{}, keep: true}
	defer p.close()
	if err := p.fetch(ctx, img.Layers); err != nil {
		return nil, err
	}
	var layers []store.Layer
	for _, l := range img.Layers {
		if err := im.keepOf(ctx, img, l); err != nil {
			return nil, err
		}
		layers = append(layers, p.have[l.DiffID])
	}
	img.Ref = ref.String()
	return img, im.st.PutImage(madeRecord(img, layers))
}

// renamed is an error about a file under another name.
type renamed struct {
	err      error
	from, to string
}

func (r *renamed) Error() string { return strings.ReplaceAll(r.err.Error(), r.from, r.to) }
func (r *renamed) Unwrap() error { return r.err }
