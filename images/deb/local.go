package deb

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// Local makes an archive of .debs that are at hand, so that apt and [Closure] can choose versions
// which no mirror offers any more. open gives the content of pins[i]. uri is where apt is told that
// they lie; nothing is fetched from there.
func Local(uri, arch string, pins []Pin, open func(i int) (io.ReadCloser, error)) (*Archive, error) {
	var text strings.Builder
	for i, p := range pins {
		f, err := open(i)
		if err != nil {
			return nil, err
		}
		control, err := readControlText(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("package %s %s: %w", p.Name, p.Version, err)
		}
		if strings.Contains(strings.TrimSpace(control), "\n\n") {
			return nil, fmt.Errorf("package %s %s: control file of several paragraphs", p.Name, p.Version)
		}
		fmt.Fprintf(&text, "%s\nFilename: %s\nSize: %d\nSHA256: %s\n\n", strings.TrimSpace(control), path.Join(p.SHA256, p.FileName()), p.Size, p.SHA256)
	}
	x, err := newIndex("local/./.", arch, text.String())
	if err != nil {
		return nil, err
	}
	return &Archive{
		Name: "local/.", Source: Source{URI: uri, Suite: "./", Trusted: true}, indexes: []*index{x},
		releaseFile: "Release", releaseData: []byte("Origin: local\n"), local: text.String(),
	}, nil
}
