package sandbox

import (
	"context"
	"fmt"
	"strings"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/build"
)

// leastDigits of a digest are taken for one.
const leastDigits = 6

// digits are the hexadecimal digits of ref if it can be the beginning of a digest, as `images` shows it; sure if it
// can be nothing else.
func digits(ref string) (hex string, sure bool) {
	hex, sure = strings.CutPrefix(ref, "sha256:")
	if len(hex) < leastDigits || len(hex) > 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", false
	}
	return hex, sure
}

// called are the records of the image of the store whose digest begins like ref; none if ref is a name. A word that
// is both is a name.
func (m *Manager) called(ref string) ([]store.ImageRecord, error) {
	hex, sure := digits(ref)
	if hex == "" {
		return nil, nil
	}
	st, err := m.Store()
	if err != nil {
		return nil, err
	}
	if r, err := images.ParseRef(ref); err == nil && !sure {
		if _, err := st.Image(r.String()); err == nil {
			return nil, nil
		}
	}
	records, err := st.Images()
	if err != nil {
		return nil, err
	}
	var found []store.ImageRecord
	digests := map[string]bool{}
	for _, r := range records {
		if strings.HasPrefix(r.Manifest.Hex(), hex) || r.Index != "" && strings.HasPrefix(r.Index.Hex(), hex) {
			found = append(found, r)
			digests[r.Manifest.Hex()] = true
		}
	}
	switch {
	case len(digests) > 1:
		return nil, fmt.Errorf("%s is the beginning of the digests of %d images: %s", ref, len(digests), joined(found))
	case len(found) == 0 && sure:
		return nil, hint.With(fmt.Errorf("no image %s in the store", ref), "sandbox images lists what is there; a registry is asked for NAME@"+ref)
	}
	return found, nil
}

func joined(records []store.ImageRecord) string {
	var names []string
	for _, r := range records {
		names = append(names, r.Ref)
	}
	return strings.Join(names, ", ")
}

// resolve finds out what ref stands for: an image of the store by the beginning of its digest, which nobody is asked
// about, or what im makes of a name.
func (m *Manager) resolve(ctx context.Context, im *images.Images, ref string) (*images.Image, error) {
	found, err := m.called(ref)
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		rec := found[0]
		if img, ok := im.Known(ctx, rec.Manifest); ok {
			img.Ref, img.Index = rec.Ref, rec.Index
			return img, nil
		}
		ref = rec.Ref
	}
	r, err := images.ParseRef(ref)
	if err != nil {
		return nil, err
	}
	return im.Resolve(ctx, r, build.Platform())
}
