package deb

import (
	"fmt"
	"sort"
	"strings"
)

// ListFile is one file of what `apt-get update` would have left in apt's folder of lists. Either Data
// is set, or SHA256 and Size of a file that is at hand.
type ListFile struct {
	Name   string
	Data   []byte
	SHA256 string
	Size   int64
}

// ListFiles are the archive's files for apt, so that an apt which reads [Archive.ListLine] knows
// what the archive has without going anywhere.
func (a *Archive) ListFiles() []ListFile {
	base := a.Source.base() + "/"
	out := []ListFile{{Name: listName(base + a.releaseFile), Data: a.releaseData}}
	if a.local != "" {
		out = append(out, ListFile{Name: listName(base + "Packages"), Data: []byte(a.local)})
	}
	for _, f := range a.files {
		out = append(out, ListFile{Name: listName(base + f.name), SHA256: f.sha256, Size: f.size})
	}
	return out
}

// ListLine is the archive as a line of sources.list. It asks for no signature: that was checked.
func (a *Archive) ListLine() string {
	line := "deb [trusted=yes check-valid-until=no] " + a.Source.URI + " " + a.Source.Suite
	if !a.Source.flat() {
		line += " " + strings.Join(a.Components, " ")
	}
	return line + "\n"
}

// listName is apt's URItoFileName: without the scheme, odd characters quoted, slashes as "_".
func listName(uri string) string {
	if _, rest, ok := strings.Cut(uri, "://"); ok {
		uri = rest
	}
	var b strings.Builder
	for i := 0; i < len(uri); i++ {
		switch c := uri[i]; {
		case c == '/':
			b.WriteByte('_')
		case c <= 0x20 || c >= 0x7f || strings.IndexByte(`\|{}[]<>"^~_=!@#$%&*`, c) >= 0:
			fmt.Fprintf(&b, "%%%02x", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Versions are all packages of this name in archives, the newest first; of equal versions the one of
// the first archive first.
func Versions(archives []*Archive, name string) ([]*Package, error) {
	var out []*Package
	for _, a := range archives {
		for _, x := range a.indexes {
			pp, err := x.named(name)
			if err != nil {
				return nil, err
			}
			out = append(out, pp...)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return Compare(out[i].Version, out[j].Version) > 0 })
	return out, nil
}

// Provided reports whether archives have a package of this name, or one that provides it.
func Provided(archives []*Archive, name string) bool {
	for _, a := range archives {
		for _, x := range a.indexes {
			if _, ok := x.first[name]; ok || len(x.offered[name]) > 0 {
				return true
			}
		}
	}
	return false
}
