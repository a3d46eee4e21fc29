package archive

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/internal/printable"
)

// entry is one line of an archive's list of images.
type entry struct {
	image string   // what tells it from the others: two entries may be one image with two names
	name  string   // in full, "" if it has none
	tags  []string // other names: in full, or a tag alone
}

// layoutEntries are those of index.json.
func layoutEntries(all []oci.Descriptor) []entry {
	var out []entry
	for _, d := range all {
		e := entry{image: string(d.Digest), name: d.Annotations[nameAnnotation]}
		if tag := d.Annotations[refAnnotation]; tag != "" {
			e.tags = []string{tag}
		}
		out = append(out, e)
	}
	return out
}

// dockerEntries are those of manifest.json.
func dockerEntries(all []dockerImage) []entry {
	var out []entry
	for _, im := range all {
		out = append(out, entry{image: im.Config + "\x00" + strings.Join(im.Layers, "\x00"), tags: im.RepoTags})
	}
	return out
}

func (e entry) names() []string {
	if e.name == "" {
		return e.tags
	}
	return append([]string{e.name}, e.tags...)
}

// choose finds the entry that want stands for: a name in full or its tag alone, @N for the N-th counted from 0; "" is
// the only image, or the only one that is latest. full gives a name in full. what is "layout" or "archive".
func choose(what string, all []entry, want string, full func(string) string) (int, error) {
	images := map[string]bool{}
	var have []string
	for i, e := range all {
		images[e.image] = true
		if len(e.names()) == 0 {
			have = append(have, "@"+strconv.Itoa(i))
		}
		have = append(have, e.tags...)
		if len(e.tags) == 0 && e.name != "" {
			have = append(have, e.name)
		}
	}
	slices.Sort(have)
	have = slices.Compact(have)
	switch {
	case len(all) == 0:
		return 0, fmt.Errorf("the %s holds no image", what)
	case want == "" && len(images) == 1:
		return 0, nil
	case want == "":
		if i, n := find(all, "latest", full); n == 1 {
			return i, nil
		}
		return 0, &ChoiceError{What: what, Images: len(images), Have: have}
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(want, "@"), 10, 31); err == nil && want[0] == '@' {
		if n >= uint64(len(all)) {
			return 0, fmt.Errorf("the %s has no image %s, only %d, counted from 0", what, want, len(all))
		}
		return int(n), nil
	}
	switch i, n := find(all, want, full); {
	case n == 1:
		return i, nil
	case n > 1:
		return 0, fmt.Errorf("the %s has %d images with the tag %q; choose one by its name: %s", what, n, want, listed(have))
	}
	asked := "tag"
	if strings.ContainsAny(want, ":/@") {
		asked = "image"
	}
	return 0, fmt.Errorf("the %s has no %s %q, only: %s", what, asked, want, listed(have))
}

// ChoiceError is an archive with several images, of which none was chosen.
type ChoiceError struct {
	What   string // "layout" or "archive"
	Images int
	Have   []string // what they are chosen by
}

func (e *ChoiceError) Error() string {
	return fmt.Sprintf("the %s holds %d images; choose one by its name: %s", e.What, e.Images, listed(e.Have))
}

// find is the first entry called want, or the one that has it as its tag, and how many images have.
func find(all []entry, want string, full func(string) string) (at, images int) {
	for i, e := range all {
		if slices.ContainsFunc(e.names(), func(s string) bool { return s == want || full != nil && full(s) == full(want) }) {
			return i, 1
		}
	}
	seen := map[string]bool{}
	for i, e := range all {
		if slices.ContainsFunc(e.names(), func(s string) bool { return strings.HasSuffix(s, ":"+want) }) && !seen[e.image] {
			if seen[e.image] = true; len(seen) == 1 {
				at = i
			}
		}
	}
	return at, len(seen)
}

// listed are names of a document in a message.
func listed(names []string) string { return printable.Line(strings.Join(names, ", "), 400) }
