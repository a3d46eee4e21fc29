package wheel

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"
)

// maxFiles bounds the files of one page.
const maxFiles = 1 << 20

// parsePage reads the page of one project in whichever form the index sent it.
func parsePage(b []byte, contentType string, base *url.URL) ([]File, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = "text/html"
	}
	switch kind {
	case "application/vnd.pypi.simple.v1+json":
		return parseJSON(b, base)
	case "application/vnd.pypi.simple.v1+html", "text/html", "application/xhtml+xml":
		return parseHTML(b, base)
	}
	return nil, fmt.Errorf("not a page of a Python index: %q", contentType)
}

type jsonPage struct {
	Meta struct {
		Version string `json:"api-version"`
	} `json:"meta"`
	Files []struct {
		Filename       string            `json:"filename"`
		URL            string            `json:"url"`
		Hashes         map[string]string `json:"hashes"`
		RequiresPython *string           `json:"requires-python"`
		Size           *int64            `json:"size"`
		UploadTime     string            `json:"upload-time"`
		Yanked         json.RawMessage   `json:"yanked"`
		CoreMetadata   json.RawMessage   `json:"core-metadata"`
		DistInfo       json.RawMessage   `json:"dist-info-metadata"`
		DataDistInfo   json.RawMessage   `json:"data-dist-info-metadata"`
	} `json:"files"`
}

func parseJSON(b []byte, base *url.URL) ([]File, error) {
	var p jsonPage
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, err
	}
	if err := checkAPI(p.Meta.Version); err != nil {
		return nil, err
	}
	if len(p.Files) > maxFiles {
		return nil, fmt.Errorf("too many files: %d", len(p.Files))
	}
	out := make([]File, 0, len(p.Files))
	for _, j := range p.Files {
		u, ok := resolve(base, j.URL)
		if !ok || !validFile(j.Filename) {
			continue
		}
		f := File{Name: j.Filename, URL: u.String(), SHA256: checkedHash(j.Hashes["sha256"]), Size: -1, UploadTime: j.UploadTime}
		if j.Size != nil && *j.Size >= 0 {
			f.Size = *j.Size
		}
		if j.RequiresPython != nil {
			f.RequiresPython = *j.RequiresPython
		}
		f.Yanked, f.YankedWhy = yanked(j.Yanked)
		for _, m := range []json.RawMessage{j.CoreMetadata, j.DistInfo, j.DataDistInfo} {
			if f.Metadata == "" {
				f.Metadata = metadataJSON(m)
			}
		}
		out = append(out, f)
	}
	return out, nil
}

// yanked reads a value that is true, false or the reason.
func yanked(raw json.RawMessage) (bool, string) {
	var why string
	if json.Unmarshal(raw, &why) == nil && len(raw) > 0 && raw[0] == '"' {
		return true, why
	}
	return bytes.Equal(bytes.TrimSpace(raw), []byte("true")), ""
}

// metadataJSON reads a value that is true, false or a table of hashes.
func metadataJSON(raw json.RawMessage) string {
	var hashes map[string]string
	if json.Unmarshal(raw, &hashes) == nil && hashes != nil {
		if h := checkedHash(hashes["sha256"]); h != "" {
			return h
		}
		return "true"
	}
	if bytes.Equal(bytes.TrimSpace(raw), []byte("true")) {
		return "true"
	}
	return ""
}

// checkAPI refuses pages of another major version, as PEP 629 asks.
func checkAPI(v string) error {
	if v == "" || v == "1" || strings.HasPrefix(v, "1.") {
		return nil
	}
	return fmt.Errorf("unknown version of the index's format: %q", v)
}

func parseHTML(b []byte, base *url.URL) ([]File, error) {
	z := html.NewTokenizer(bytes.NewReader(b))
	z.SetMaxBuf(1 << 20)
	p := htmlPage{base: base}
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return nil, err
			}
			return p.out, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			if err := p.tag(z.Token()); err != nil {
				return nil, err
			}
		}
		if len(p.out) > maxFiles {
			return nil, fmt.Errorf("too many files: more than %d", maxFiles)
		}
	}
}

type htmlPage struct {
	base *url.URL
	out  []File
}

func (p *htmlPage) tag(t html.Token) error {
	attr := map[string]string{}
	has := map[string]bool{}
	for _, a := range t.Attr {
		attr[a.Key], has[a.Key] = a.Val, true
	}
	switch t.Data {
	case "meta":
		if strings.EqualFold(attr["name"], "pypi:repository-version") {
			return checkAPI(attr["content"])
		}
	case "base":
		if u, ok := resolve(p.base, attr["href"]); ok {
			p.base = u
		}
	case "a":
		u, ok := resolve(p.base, attr["href"])
		if !ok || !has["href"] {
			return nil
		}
		name := path.Base(u.Path)
		if !validFile(name) {
			return nil
		}
		f := File{Name: name, Size: -1, RequiresPython: attr["data-requires-python"], Yanked: has["data-yanked"], YankedWhy: attr["data-yanked"]}
		f.SHA256 = fragmentHash(u.Fragment)
		u.Fragment = ""
		f.URL = u.String()
		for _, k := range []string{"data-core-metadata", "data-dist-info-metadata"} {
			if f.Metadata == "" && has[k] && attr[k] != "false" {
				if f.Metadata = fragmentHash(attr[k]); f.Metadata == "" {
					f.Metadata = "true"
				}
			}
		}
		p.out = append(p.out, f)
	}
	return nil
}

// fragmentHash reads sha256=HEX.
func fragmentHash(s string) string {
	for part := range strings.SplitSeq(s, "&") {
		if h, ok := strings.CutPrefix(part, "sha256="); ok {
			return checkedHash(h)
		}
	}
	return ""
}

func checkedHash(h string) string {
	if b, err := hex.DecodeString(h); err != nil || len(b) != 32 {
		return ""
	}
	return strings.ToLower(h)
}

// validFile keeps out names that are not one file of wheels or source distributions.
func validFile(name string) bool {
	if name == "" || len(name) > 255 || strings.ContainsAny(name, "/\\\x00\n\r") || name[0] == '.' {
		return false
	}
	if strings.HasSuffix(name, ".whl") {
		return true
	}
	_, ok := sdistName(name)
	return ok
}

// resolve makes a link absolute. A link to the index's own host takes the index's credentials
// along; a page from the network may not point at files of this machine.
func resolve(base *url.URL, ref string) (*url.URL, bool) {
	u, err := base.Parse(strings.TrimSpace(ref))
	if err != nil {
		return nil, false
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return nil, false
		}
	case "file":
		if base.Scheme != "file" {
			return nil, false
		}
	default:
		return nil, false
	}
	if u.User == nil && base.User != nil && u.Scheme == base.Scheme && u.Host == base.Host {
		u.User = base.User
	}
	return u, true
}
