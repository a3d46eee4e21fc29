package wheel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/images/fetch"
)

// Pin is one wheel of a lock: exactly this file.
type Pin struct {
	Name       string
	Version    string
	File       string
	Size       int64  // bytes; -1 where it is not known
	SHA256     string // hex
	Index      string // name of the index or, as a resolver says it, its URL
	URL        string // where the resolver saw it; "" in a lock
	UploadTime string // RFC 3339, or ""
}

// GoneError says that an index knows a project but not the locked file any more.
type GoneError struct {
	Pin     Pin
	Changed string   // the sha256 that the file of this name has now; "" if there is none
	Offer   []string // versions on offer, newest first, at most ten
}

func (e *GoneError) Error() string {
	if e.Changed != "" {
		return fmt.Sprintf("%s has another content in the index now: locked sha256 %s, offered %s", e.Pin.File, e.Pin.SHA256, e.Changed)
	}
	s := fmt.Sprintf("%s %s: the index no longer has %s", e.Pin.Name, e.Pin.Version, e.Pin.File)
	if len(e.Offer) > 0 {
		s += "; versions on offer: " + strings.Join(e.Offer, ", ")
	}
	return s
}

// Hint is what helps when a pin vanished.
func (e *GoneError) Hint() string {
	return fmt.Sprintf("sandbox lock --upgrade %s takes another version; an index that still has it, as [[python.index]] or [index] in your configuration, keeps this one", Normalize(e.Pin.Name))
}

// Find looks for the locked file in the indexes that pin's index name stands for, in order. A file
// counts only if its name is the same and the index does not contradict its hash. The error is a
// *[NoProjectError] or a *[GoneError] if the indexes answered but none has it.
func (c *Client) Find(ctx context.Context, indexes []Index, pin Pin) (File, error) {
	var asked []string
	var failed error
	gone := &GoneError{Pin: pin}
	known := false
	for _, x := range indexes {
		if x.Name != pin.Index || !x.Serves(pin.Name) {
			continue
		}
		asked = append(asked, x.String())
		files, err := c.Files(ctx, x, pin.Name)
		var none *NoProjectError
		switch {
		case errors.As(err, &none):
			continue
		case err != nil:
			failed = cmp.Or(failed, err)
			continue
		}
		known = known || len(files) > 0
		for _, f := range files {
			switch {
			case f.Name != pin.File:
			case f.SHA256 == "" || f.SHA256 == pin.SHA256:
				return f, nil
			default:
				gone.Changed = f.SHA256
			}
		}
		gone.Offer = append(gone.Offer, Versions(files)...)
	}
	switch {
	case failed != nil:
		return File{}, failed
	case !known:
		return File{}, &NoProjectError{pin.Name, asked}
	}
	gone.Offer = gone.Offer[:min(10, len(gone.Offer))]
	return File{}, gone
}

// Versions lists the versions that files belong to, newest first, each once. Yanked files do not
// count.
func Versions(files []File) []string {
	var vs []Version
	for _, f := range files {
		if f.Yanked {
			continue
		}
		if v, err := fileVersion(f.Name); err == nil {
			vs = append(vs, v)
		}
	}
	slices.SortStableFunc(vs, func(a, b Version) int { return b.Compare(a) })
	vs = slices.CompactFunc(vs, func(a, b Version) bool { return a.Compare(b) == 0 })
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = v.String()
	}
	return out
}

func fileVersion(file string) (Version, error) {
	if f, err := ParseFilename(file); err == nil {
		return ParseVersion(f.Version)
	}
	name, ok := sdistName(file)
	if !ok {
		return Version{}, fmt.Errorf("not a file of a Python package: %q", file)
	}
	rest := file[len(name)+1:]
	for _, ext := range []string{".tar.gz", ".zip", ".tar.bz2", ".tgz"} {
		rest = strings.TrimSuffix(rest, ext)
	}
	return ParseVersion(rest)
}

// Source is where fetch gets f from. Files of a local folder (find-links) have none: ok is false
// and path is where they lie.
func (f File) Source() (src fetch.Source, path string, ok bool) {
	if u, err := url.Parse(f.URL); err == nil && u.Scheme == "file" {
		return src, u.Path, false
	}
	return fetch.Source{URL: f.URL}, "", true
}

// OpenLocal opens a file that lies in a local folder.
func (f File) OpenLocal() (*os.File, error) {
	_, p, ok := f.Source()
	if ok {
		return nil, fmt.Errorf("%s is not a local file", f.Name)
	}
	return os.Open(p)
}
